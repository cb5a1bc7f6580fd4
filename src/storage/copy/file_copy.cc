#include "storage/copy/file_copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr std::size_t kBuffer = 128 * 1024;
// Below this, one read and one write beat copying inside the kernel. Sharing blocks beats both:
// there is less to be written out.
constexpr off_t kSmall = 64 * 1024;
// How much the kernel copies in one call: between two of them a copy can be cancelled.
constexpr std::size_t kStride = 32 << 20;

bool retry_with_read(int number) {
  return number == EXDEV || number == EINVAL || number == EOPNOTSUPP || number == ENOSYS ||
         number == EPERM || number == ETXTBSY || number == EBADF;
}

Status write_at(BorrowedFd target, const char* bytes, std::size_t count, off_t at) {
  while (count > 0) {
    ssize_t written = ::pwrite(target.get(), bytes, count, at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write");
    bytes += written;
    at += written;
    count -= static_cast<std::size_t>(written);
  }
  return {};
}

Status advance(const FileCopyOptions& options, off_t bytes) {
  if (options.copied)
    options.copied->fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
  if (options.cancelled && options.cancelled->load(std::memory_order_relaxed))
    return fail(Code::kCancelled, "copy cancelled");
  return {};
}

// Through a buffer that each thread keeps for its copies.
Status copy_by_reading(BorrowedFd source, BorrowedFd target, off_t from, off_t to,
                       const FileCopyOptions& options) {
  thread_local const auto buffer = std::make_unique_for_overwrite<char[]>(kBuffer);
  while (from < to) {
    auto wanted = std::min(kBuffer, static_cast<std::size_t>(to - from));
    ssize_t count = ::pread(source.get(), buffer.get(), wanted, from);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read");
    if (count == 0) return {};  // it shrank
    RETURN_IF_ERROR(write_at(target, buffer.get(), static_cast<std::size_t>(count), from));
    from += count;
    RETURN_IF_ERROR(advance(options, count));
  }
  return {};
}

// copy_file_range(2) shares blocks by itself where it can.
Status copy_range(BorrowedFd source, BorrowedFd target, off_t from, off_t to,
                  const FileCopyOptions& options) {
  if (to - from <= kSmall || options.sharing == BlockSharing::kNever)
    return copy_by_reading(source, target, from, to, options);
  while (from < to) {
    off_t in = from, out = from;
    ssize_t count = ::copy_file_range(source.get(), &in, target.get(), &out,
                                      std::min(kStride, static_cast<std::size_t>(to - from)), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && retry_with_read(errno))
      return copy_by_reading(source, target, from, to, options);
    if (count < 0) return fail_errno("copy");
    // Zero is the end of the file, or a file system (FUSE, procfs) that only pretends to support
    // this.
    if (count == 0) return copy_by_reading(source, target, from, to, options);
    from += count;
    RETURN_IF_ERROR(advance(options, count));
  }
  return {};
}

Status copy_with_holes(BorrowedFd source, BorrowedFd target, off_t size,
                       const FileCopyOptions& options) {
  off_t at = 0;
  while (at < size) {
    off_t data = ::lseek(source.get(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole up to the end
    if (data < 0) return copy_range(source, target, at, size, options);
    off_t hole = ::lseek(source.get(), data, SEEK_HOLE);
    if (hole < 0) hole = size;
    hole = std::min(hole, size);
    if (data >= size) break;
    RETURN_IF_ERROR(advance(options, data - at));
    RETURN_IF_ERROR(copy_range(source, target, data, hole, options));
    at = hole;
  }
  RETURN_IF_ERROR(advance(options, size - at));
  if (::ftruncate(target.get(), size) != 0) return fail_errno("set size");
  return {};
}

bool may_share(const FileCopyOptions& options) {
  if (options.sharing == BlockSharing::kWherePossible)
    return !options.unshareable || !options.unshareable->load(std::memory_order_relaxed);
  return options.sharing == BlockSharing::kRequired;
}

}  // namespace

Result<std::uint64_t> copy_file_content(BorrowedFd source, BorrowedFd target,
                                        const struct stat& status, const FileCopyOptions& options) {
  if (status.st_size == 0) return 0;
  auto size = static_cast<std::uint64_t>(status.st_size);
  bool sparse = status.st_blocks * 512 < status.st_size;
  if (may_share(options)) {
    if (::ioctl(target.get(), FICLONE, source.get()) == 0) {
      RETURN_IF_ERROR(advance(options, status.st_size));
      return size;
    }
    bool required = options.sharing == BlockSharing::kRequired;
    if (required || errno == ENOSPC || errno == EDQUOT || errno == EIO) return fail_errno("clone");
    bool for_all = errno == EOPNOTSUPP || errno == EXDEV || errno == ENOTTY;
    if (for_all && options.unshareable) *options.unshareable = true;
  }
  RETURN_IF_ERROR(sparse ? copy_with_holes(source, target, status.st_size, options)
                         : copy_range(source, target, 0, status.st_size, options));
  return size;
}

}  // namespace holdfast
