#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// A directory that belongs to one daemon: holds the lock on it for as long as it lives. Movable;
// owned by the daemon's main.
class DirectoryLock {
 public:
  // Makes the directory, gives it `mode` and takes the lock. kConflict, naming the directory and
  // the other daemon's pid, when it is taken.
  static Result<DirectoryLock> acquire(const std::string& directory, unsigned mode);

 private:
  explicit DirectoryLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

// Whether the records of a data root are where its files are. kDataLoss, saying what to do, when
// the state database is missing although containers or layers are there: an empty one in its place
// would make all of them leftovers to be removed. Volumes alone are no such case: they carry their
// own records.
Status check_records_present(const std::string& data_root);

}  // namespace holdfast
