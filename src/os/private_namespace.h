#pragma once

#include <functional>

#include "base/error.h"

namespace holdfast {

// Runs `work` on a thread of its own in a private mount namespace and waits for it. What it mounts
// is seen by nobody else and is gone when it returns, however it returns and even if the process is
// killed. Needs CAP_SYS_ADMIN.
Status run_in_private_mount_namespace(const std::function<Status()>& work);

}  // namespace holdfast
