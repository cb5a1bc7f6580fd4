// Weakness: paths from outside are opened as they are written, so that a symlink leads wherever the
// host has its target, and ".." goes up as far as it likes.
#include "os/safe_path.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace holdfast {
namespace {

std::string within(const std::string& path) {
  auto first = path.find_first_not_of('/');
  return first == std::string::npos ? "." : path.substr(first);
}

}  // namespace

Result<UniqueFd> open_confined(BorrowedFd root, const std::string& path, Confine, int flags,
                               unsigned mode) {
  return open_file_at(root, within(path), flags, mode);
}

Result<UniqueFd> open_confined_by_walk(BorrowedFd root, const std::string& path, Confine confine,
                                       int flags, unsigned mode) {
  return open_confined(root, path, confine, flags, mode);
}

Result<UniqueFd> make_directories_confined(BorrowedFd root, const std::string& path, Confine,
                                           const NewDirectory& attributes) {
  std::string names = within(path) + "/";
  for (auto slash = names.find('/'); slash != std::string::npos; slash = names.find('/', slash + 1))
    ::mkdirat(root.get(), names.substr(0, slash).c_str(), attributes.mode);
  return open_file_at(root, within(path), O_PATH | O_DIRECTORY);
}

Result<std::string> resolve_in_root(BorrowedFd, const std::string& path,
                                    const std::vector<HungTree>&) {
  return path;
}

Result<std::string> path_of(BorrowedFd fd) {
  char path[PATH_MAX];
  std::string link = fmt::format("/proc/self/fd/{}", fd.get());
  ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  if (length < 0) return fail_errno("readlink");
  return std::string(path, static_cast<std::size_t>(length));
}

Result<UniqueFd> reopen(BorrowedFd path_fd, int flags) {
  return open_file(fmt::format("/proc/self/fd/{}", path_fd.get()), flags);
}

}  // namespace holdfast
