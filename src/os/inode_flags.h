#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Makes the directory `directory`/`name` immutable (chattr +i) or takes that back: nobody makes
// anything in it then, while mounts on it work as ever. Never reaches through to what is mounted
// there. Where the file system knows no such flag, or we may not set it (CAP_LINUX_IMMUTABLE),
// nothing happens.
Status set_immutable(BorrowedFd directory, const std::string& name, bool immutable);

}  // namespace holdfast
