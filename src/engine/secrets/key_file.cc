#include "engine/secrets/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/random.h"

namespace holdfast {
namespace {

constexpr std::size_t kFileLimit = 4096;

std::string directory_of(const std::string& path) {
  auto slash = path.find_last_of('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

template <typename... Args>
tl::unexpected<Error> unusable(const std::string& path, fmt::format_string<Args...> format,
                               Args&&... args) {
  return fail(Code::kUnavailable, "secrets key file \"{}\" {}", path,
              fmt::format(format, std::forward<Args>(args)...));
}

// That it is a file which the daemon's user alone can read.
Status check_protection(BorrowedFd file, const std::string& path) {
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  if (!S_ISREG(status.st_mode)) return unusable(path, "is not a file");
  if (status.st_uid != ::geteuid()) {
    return unusable(path, "belongs to uid {0}, who can read and change it: chown it to uid {1}",
                    status.st_uid, ::geteuid());
  }
  if (status.st_mode & 0177) {
    return unusable(path, "has mode {:04o}, so that others may get at it: chmod it to 0600",
                    status.st_mode & 07777);
  }
  return {};
}

Result<SecretBytes> read_short_file(BorrowedFd file, const std::string& path) {
  SecretBytes bytes(kFileLimit);
  std::size_t size = 0;
  while (size < bytes.size()) {
    ssize_t count = ::read(file.get(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read \"{}\"", path);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  bytes.shrink(size);
  return bytes;
}

// mkdir -p, with every new name synced.
Status make_durable_directory(const std::string& path) {
  if (file_exists(path)) return {};
  RETURN_IF_ERROR(make_durable_directory(directory_of(path)));
  RETURN_IF_ERROR(make_directories(path, 0755));
  return sync_directory(directory_of(path));
}

Status write_synced(BorrowedFd file, std::string_view text) {
  RETURN_IF_ERROR(write_all(file, text));
  if (::fchmod(file.get(), 0600) != 0) return fail_errno("chmod");
  if (::fsync(file.get()) != 0) return fail_errno("sync");
  return {};
}

// link(2) and not rename(2): a key that is there is never replaced.
Status give_name(const std::string& from, int flags, const std::string& path) {
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), flags) == 0 || errno == EEXIST)
    return {};
  return fail_errno("link");
}

// On a file system that has no files without a name; a crash may leave the one made here.
Status write_new_by_name(const std::string& path, std::string_view text) {
  std::string temporary = path + ".new-" + random_hex(8);
  ASSIGN_OR_RETURN(auto file, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  auto status = write_synced(file, text);
  if (status) status = give_name(temporary, 0, path);
  ::unlink(temporary.c_str());
  return status;
}

Status write_new(const std::string& path, std::string_view text) {
  UniqueFd file(::open(directory_of(path).c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (!file) return write_new_by_name(path, text);
  RETURN_IF_ERROR(write_synced(file, text));
  return give_name(fmt::format("/proc/self/fd/{}", file.get()), AT_SYMLINK_FOLLOW, path);
}

}  // namespace

Result<SealingKey> KeyFile::read() const {
  // Not blocking, should it be a FIFO.
  auto file = open_file(path_, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file && file.error().code == Code::kNotFound) return tl::unexpected(file.error());
  if (!file)
    return fail(Code::kUnavailable, "secrets key file: {}", std::move(file).error().message);
  RETURN_IF_ERROR(check_protection(*file, path_));
  ASSIGN_OR_RETURN(auto text, read_short_file(*file, path_));
  auto key = SealingKey::parse(text.view());
  if (!key)
    return unusable(path_, "does not hold a key of 64 hexadecimal digits: put its copy back");
  return key;
}

Result<SealingKey> KeyFile::create() const {
  auto made = [&]() -> Status {
    RETURN_IF_ERROR(make_durable_directory(directory_of(path_)));
    RETURN_IF_ERROR(write_new(path_, SealingKey::generate().text().view()));
    return sync_directory(directory_of(path_));
  }();
  if (!made) {
    return tl::unexpected(
        std::move(made).error().wrap(fmt::format("make secrets key file \"{}\"", path_)));
  }
  return read();
}

}  // namespace holdfast
