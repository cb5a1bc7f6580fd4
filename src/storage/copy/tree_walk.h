#pragma once

#include <sys/stat.h>

#include <functional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Called for each file, `name` in `directory`; with an empty name for `directory` itself. `status`
// has type, uid and gid. From several threads at a time. An error of ENOENT, ENOTDIR or ELOOP means
// that the file is gone.
using TreeVisit =
    std::function<Status(BorrowedFd directory, const char* name, const struct statx& status)>;

// Visits `root` (a file or a directory, O_PATH will do) and all below it, symlinks themselves among
// it; by several threads, depth first, a directory before its entries. Mounts below it are left
// out, and so is what vanishes meanwhile. Ends with the first error. By descriptor: nothing that is
// swapped meanwhile leads out of the tree.
Status walk_tree(BorrowedFd root, const TreeVisit& visit);

}  // namespace holdfast
