#pragma once

#include <fcntl.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// SQLite's lock for reading (its "SHARED" lock) on a database that other processes may write to:
// while it is held none of them changes the file. By fcntl(2) locks of the open file, on the bytes
// that SQLite's file format sets aside, with no change to the file. Ends with the descriptor, which
// must outlive it.
class SqliteReadLock {
 public:
  // kUnavailable while somebody writes.
  static Result<SqliteReadLock> take(BorrowedFd file, const std::string& path) {
    // A writer that waits for its turn holds the pending byte: nobody begins to read then.
    struct flock pending = range(F_RDLCK, kPending, 1);
    struct flock shared = range(F_RDLCK, kSharedFirst, kSharedSize);
    bool locked = ::fcntl(file.get(), F_OFD_SETLK, &pending) == 0 &&
                  ::fcntl(file.get(), F_OFD_SETLK, &shared) == 0;
    int number = errno;
    pending.l_type = F_UNLCK;
    ::fcntl(file.get(), F_OFD_SETLK, &pending);
    if (locked) return SqliteReadLock(file);
    if (number == EAGAIN || number == EACCES)
      return fail(Code::kUnavailable, "database \"{}\" is being written to: try again", path);
    return fail_errno_text(number, fmt::format("lock \"{}\"", path));
  }

  // Whether somebody prepares changes, which are not in the file before this lock ends.
  bool writer_at_work() const {
    struct flock reserved = range(F_WRLCK, kReserved, 1);
    return ::fcntl(file_.get(), F_OFD_GETLK, &reserved) == 0 && reserved.l_type != F_UNLCK;
  }

 private:
  static constexpr off_t kPending = 0x40000000;
  static constexpr off_t kReserved = kPending + 1;
  static constexpr off_t kSharedFirst = kPending + 2;
  static constexpr off_t kSharedSize = 510;

  static struct flock range(short type, off_t start, off_t length) {
    struct flock range = {};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    range.l_start = start;
    range.l_len = length;
    return range;
  }

  explicit SqliteReadLock(BorrowedFd file) : file_(file) {}
  BorrowedFd file_;
};

}  // namespace holdfast
