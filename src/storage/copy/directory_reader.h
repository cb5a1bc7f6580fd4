#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Some entries of a directory as the kernel delivered them (getdents64(2)); "." and ".." are left
// out by next(). Unlike readdir(3) it costs no allocation for each directory stream, and can be
// handed to another thread.
class DirectoryBatch {
 public:
  struct Entry {
    const char* name;    // valid as long as the batch
    unsigned char type;  // DT_REG, DT_DIR, …; DT_UNKNOWN where the file system doesn't tell
  };

  std::optional<Entry> next();

 private:
  friend Result<std::optional<DirectoryBatch>> read_batch(BorrowedFd directory);
  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t at_ = 0;
};

// The next entries of `directory` (opened for reading); nullopt at the end.
Result<std::optional<DirectoryBatch>> read_batch(BorrowedFd directory);

// Opens directory `name` of `parent` (an empty name: itself) for reading; never through a symlink.
Result<UniqueFd> open_directory(BorrowedFd parent, const char* name);

}  // namespace holdfast
