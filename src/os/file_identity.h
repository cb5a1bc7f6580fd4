#pragma once

#include <sys/types.h>

#include <functional>

#include "base/error.h"

namespace holdfast {

// Runs `work` on a thread of its own whose new files belong to `uid` and `gid` (setfsuid(2)), with
// all capabilities of the daemon, and waits for it: in a tree whose files are owned by the ids of a
// user namespace, root of the host is nobody and can't make any.
Status run_with_file_identity(uid_t uid, gid_t gid, const std::function<Status()>& work);

}  // namespace holdfast
