#include "storage/driver/plugin/plugin_mountpoint.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr int kMaxDepth = 4096;

// Directories that no volume is: whoever mounts one into a container gives the host away.
constexpr std::array kSystemDirectories = {
    "/",      "/bin",     "/boot",    "/dev",      "/etc", "/home",   "/lib", "/lib32",
    "/lib64", "/libx32",  "/proc",    "/root",     "/run", "/sbin",   "/sys", "/tmp",
    "/usr",   "/usr/bin", "/usr/lib", "/usr/sbin", "/var", "/var/lib"};
// Of these, not even what is inside.
constexpr std::array kKernelDirectories = {"/proc/", "/sys/", "/dev/"};
constexpr std::string_view kSharedMemory = "/dev/shm/";

using Identity = std::tuple<unsigned, unsigned, std::uint64_t>;

// Without asking the server of a network or FUSE file system.
Result<Identity> identity_of(BorrowedFd fd, const char* path = "") {
  struct statx status = {};
  int flags = AT_STATX_DONT_SYNC | (*path == '\0' ? AT_EMPTY_PATH : 0);
  if (::statx(fd.get(), path, flags, STATX_INO, &status) != 0) return fail_errno("stat");
  return Identity(status.stx_dev_major, status.stx_dev_minor, status.stx_ino);
}

// Whether `directory` is, or lies below, the directory of that identity.
Result<bool> lies_in(BorrowedFd directory, const Identity& outer) {
  ASSIGN_OR_RETURN(auto root, identity_of(BorrowedFd(AT_FDCWD), "/"));
  ASSIGN_OR_RETURN(auto at, open_file_at(directory, ".", O_PATH | O_DIRECTORY));
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    ASSIGN_OR_RETURN(auto here, identity_of(at));
    if (here == outer) return true;
    if (here == root) return false;
    ASSIGN_OR_RETURN(at, open_file_at(at, "..", O_PATH | O_DIRECTORY));
  }
  return fail(Code::kInvalidArgument, "it lies too deep");
}

Result<std::string> path_of(BorrowedFd fd) {
  char path[PATH_MAX];
  ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), path, sizeof path);
  if (size < 0) return fail_errno("readlink");
  return std::string(path, static_cast<std::size_t>(size));
}

// Which rule the directory breaks; empty: none.
Result<std::string> objection_to(BorrowedFd directory,
                                 const std::vector<std::string>& private_roots) {
  ASSIGN_OR_RETURN(auto identity, identity_of(directory));
  for (const char* system : kSystemDirectories) {
    auto other = identity_of(BorrowedFd(AT_FDCWD), system);
    if (other && *other == identity) return fmt::format("it is the system's directory {}", system);
  }
  ASSIGN_OR_RETURN(auto path, path_of(directory));
  for (const char* kernel : kKernelDirectories) {
    if (path.starts_with(kernel) && !path.starts_with(kSharedMemory))
      return fmt::format("it lies in {}", std::string_view(kernel, std::strlen(kernel) - 1));
  }
  for (const auto& own : private_roots) {
    auto root = open_file(own, O_PATH | O_DIRECTORY);
    if (!root) continue;
    ASSIGN_OR_RETURN(auto own_identity, identity_of(*root));
    ASSIGN_OR_RETURN(bool inside, lies_in(directory, own_identity));
    if (inside) return fmt::format("it lies in {}, which is the engine's own", own);
    ASSIGN_OR_RETURN(bool around, lies_in(*root, identity));
    if (around) return fmt::format("it contains {}, which is the engine's own", own);
  }
  return std::string();
}

}  // namespace

Result<UniqueFd> open_plugin_mountpoint(const std::string& path,
                                        const std::vector<std::string>& private_roots) {
  auto refuse = [&](const std::string& why) {
    return fail(Code::kPermissionDenied, "the plugin named \"{}\" as mountpoint: {}", path, why);
  };
  if (path.empty()) return refuse("it is empty");
  if (!path.starts_with('/')) return refuse("it is no absolute path");
  if (path.size() >= PATH_MAX || path.find('\0') != std::string::npos)
    return refuse("it is no path");
  auto directory = open_file(path, O_PATH | O_DIRECTORY);
  if (!directory) return refuse(directory.error().message);
  auto objection = objection_to(*directory, private_roots);
  if (!objection) return refuse(objection.error().message);
  if (!objection->empty()) return refuse(*objection);
  return directory;
}

}  // namespace holdfast
