#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/random.h"

namespace holdfast {

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
  return open_file_at(BorrowedFd(AT_FDCWD), path, flags, mode);
}

Result<UniqueFd> open_file_at(BorrowedFd directory, const std::string& path, int flags,
                              unsigned mode) {
  UniqueFd fd(::openat(directory.get(), path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return fail_errno("open \"{}\"", path);
  return fd;
}

Result<UniqueFd> duplicate(BorrowedFd fd) {
  UniqueFd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno("duplicate file descriptor {}", fd.get());
  return copy;
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  ASSIGN_OR_RETURN(auto fd, open_file(path, O_RDONLY));
  auto bytes = read_all(fd, limit);
  if (!bytes) return tl::unexpected(std::move(bytes).error().wrap(fmt::format("\"{}\"", path)));
  return bytes;
}

Result<std::string> read_all(BorrowedFd fd, std::size_t limit) {
  std::string bytes;
  char buffer[16384];
  while (true) {
    ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read");
    if (count == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(count));
    if (bytes.size() > limit) return fail(Code::kResourceExhausted, "more than {} bytes", limit);
  }
}

Status write_all(BorrowedFd fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = ::write(fd.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write");
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

namespace {

Status write_synced(const std::string& path, std::string_view bytes, unsigned mode) {
  ASSIGN_OR_RETURN(auto fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  RETURN_IF_ERROR(write_all(fd, bytes));
  if (::fchmod(fd.get(), mode) != 0) return fail_errno("chmod \"{}\"", path);
  if (::fdatasync(fd.get()) != 0) return fail_errno("sync \"{}\"", path);
  return {};
}

}  // namespace

Status write_file_atomic(const std::string& path, std::string_view bytes, unsigned mode,
                         bool durable) {
  std::string temporary = path + ".tmp-" + random_hex(8);
  auto written = write_synced(temporary, bytes, mode);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = fail_errno("rename \"{}\" to \"{}\"", temporary, path);
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (!durable) return {};
  return sync_directory(path.substr(0, path.find_last_of('/') + 1));
}

Status make_directories(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == ENOENT) {
    auto slash = path.find_last_of('/');
    if (slash == std::string::npos || slash == 0) return fail_errno("mkdir \"{}\"", path);
    RETURN_IF_ERROR(make_directories(path.substr(0, slash), mode));
    if (::mkdir(path.c_str(), mode) == 0) return {};
  }
  int number = errno;
  struct stat status = {};
  if (number == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
  return fail_errno_text(number, fmt::format("mkdir \"{}\"", path));
}

Status sync_directory(const std::string& path) {
  ASSIGN_OR_RETURN(auto fd, open_file(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return fail_errno("sync directory \"{}\"", path);
  return {};
}

Status remove_file(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("remove \"{}\"", path);
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace holdfast
