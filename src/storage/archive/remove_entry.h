#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast::archive {

// rm -rf of the entry `name` of a directory: never follows a symlink, never leaves the directory's
// file system. A missing entry is success.
Status remove_entry(BorrowedFd directory, const std::string& name);

}  // namespace holdfast::archive
