#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// A directory that belongs to one daemon: holds the lock on it for as long as it lives. Movable;
// owned by the daemon's main.
class DirectoryLock {
 public:
  // Makes the directory (mode 0700: other users must not traverse it) and takes the lock.
  // kConflict, naming the directory and the other daemon's pid, when it is taken.
  static Result<DirectoryLock> acquire(const std::string& directory);

 private:
  explicit DirectoryLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace holdfast
