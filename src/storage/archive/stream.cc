#include "storage/archive/stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace holdfast::archive {

Source read_from(BorrowedFd fd) {
  return [fd](char* buffer, std::size_t size) -> Result<std::size_t> {
    while (true) {
      ssize_t count = ::read(fd.get(), buffer, size);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) return fail_errno("read");
    }
  };
}

Source read_from(std::string_view bytes) {
  return [bytes](char* buffer, std::size_t size) mutable -> Result<std::size_t> {
    std::size_t count = std::min(size, bytes.size());
    std::memcpy(buffer, bytes.data(), count);
    bytes.remove_prefix(count);
    return count;
  };
}

Sink write_to(BorrowedFd fd) {
  return [fd](std::string_view bytes) { return write_all(fd, bytes); };
}

}  // namespace holdfast::archive
