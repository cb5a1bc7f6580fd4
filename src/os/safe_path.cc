#include "os/safe_path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr int kMaxSymlinks = 40;  // as path_resolution(7)

// Where a walk stands: the directories from the root down to the current one, and what is still to
// be walked.
struct Walk {
  BorrowedFd root;
  Confine confine;
  std::vector<UniqueFd> above;     // opened directories beneath root; empty: at root
  std::vector<std::string> ahead;  // components still to come, the next one last
  int symlinks = 0;

  BorrowedFd here() const { return above.empty() ? root : above.back().borrow(); }
};

tl::unexpected<Error> failed(int number, const std::string& path) {
  return fail_errno_text(number, fmt::format("open \"{}\"", path));
}

// Puts the components of `path` in front of what is ahead. A trailing slash asks for a directory,
// as "." does.
void push_path(Walk& walk, std::string_view path) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < path.size()) {
    auto slash = path.find('/', at);
    auto part = path.substr(at, slash == std::string_view::npos ? slash : slash - at);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    if (slash == std::string_view::npos) break;
    at = slash + 1;
  }
  if (path.ends_with('/') || path.ends_with("/.")) parts.emplace_back(".");
  walk.ahead.insert(walk.ahead.end(), std::make_move_iterator(parts.rbegin()),
                    std::make_move_iterator(parts.rend()));
}

// Starts over at the root for an absolute path; false where that is not allowed.
bool enter_absolute(Walk& walk, std::string_view path) {
  if (!path.starts_with('/')) return true;
  if (walk.confine == Confine::kBeneath) return false;
  walk.above.clear();
  return true;
}

// ".." by the directories we came through: they were beneath the root when we entered them.
bool step_up(Walk& walk) {
  if (walk.above.empty()) return walk.confine == Confine::kInRoot;
  walk.above.pop_back();
  return true;
}

Status follow(Walk& walk, BorrowedFd link, const std::string& path) {
  if (++walk.symlinks > kMaxSymlinks) return failed(ELOOP, path);
  std::string target(4096, '\0');
  ssize_t length = ::readlinkat(link.get(), "", target.data(), target.size());
  if (length < 0) return failed(errno, path);
  target.resize(static_cast<std::size_t>(length));
  if (!enter_absolute(walk, target)) return failed(EXDEV, path);
  push_path(walk, target);
  return {};
}

// Takes one component that is neither the last nor missing: a directory is entered, a symlink
// followed.
Status step(Walk& walk, const std::string& name, const std::string& path) {
  if (name == ".") return {};
  if (name == "..") return step_up(walk) ? Status{} : Status(failed(EXDEV, path));
  UniqueFd next(::openat(walk.here().get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!next) return failed(errno, path);
  struct stat status = {};
  if (::fstat(next.get(), &status) != 0) return failed(errno, path);
  if (S_ISLNK(status.st_mode)) return follow(walk, next, path);
  if (!S_ISDIR(status.st_mode)) return failed(ENOTDIR, path);
  walk.above.push_back(std::move(next));
  return {};
}

Result<Walk> start_walk(BorrowedFd root, const std::string& path, Confine confine) {
  if (path.find('\0') != std::string::npos) return failed(EINVAL, path.c_str());
  Walk walk{root, confine, {}, {}, 0};
  if (!enter_absolute(walk, path)) return failed(EXDEV, path);
  push_path(walk, path);
  return walk;
}

// Opens the last component. nullopt: it was a symlink, whose target is ahead now.
Result<std::optional<UniqueFd>> open_last(Walk& walk, const std::string& name,
                                          const std::string& path, int flags, unsigned mode) {
  if (name == "." || name == "..") {
    if (name == ".." && !step_up(walk)) return failed(EXDEV, path);
    UniqueFd fd(::openat(walk.here().get(), ".", flags | O_CLOEXEC, mode));
    if (!fd) return failed(errno, path);
    return fd;
  }
  UniqueFd found(::openat(walk.here().get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  int number = errno;
  struct stat status = {};
  if (found && ::fstat(found.get(), &status) != 0) return failed(errno, path);
  bool is_link = S_ISLNK(status.st_mode);
  bool exclusive = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
  if (is_link && !exclusive && (flags & O_NOFOLLOW) == 0) {
    RETURN_IF_ERROR(follow(walk, found, path));
    return std::nullopt;
  }
  // Opened once: a symlink that takes its place now would be opened itself by O_PATH, and followed
  // by whoever uses that.
  if ((flags & O_PATH) != 0) {
    if (!found) return failed(number, path);
    if ((flags & O_DIRECTORY) != 0 && !S_ISDIR(status.st_mode)) return failed(ENOTDIR, path);
    return found;
  }
  UniqueFd fd(::openat(walk.here().get(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode));
  // A symlink that took the place of a file since: look again.
  if (!fd && errno == ELOOP && (flags & O_NOFOLLOW) == 0 && ++walk.symlinks <= kMaxSymlinks) {
    walk.ahead.push_back(name);
    return std::nullopt;
  }
  if (!fd) return failed(errno, path);
  return fd;
}

std::uint64_t resolve_flags(Confine confine) {
  return RESOLVE_NO_MAGICLINKS | (confine == Confine::kInRoot ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
}

bool openat2_wanted() {
  static const bool wanted = std::getenv("HOLDFAST_NO_OPENAT2") == nullptr;
  return wanted;
}

// nullopt: the kernel has no openat2, or could not rule out an escape because of renames meanwhile.
std::optional<Result<UniqueFd>> try_openat2(BorrowedFd root, const std::string& path,
                                            Confine confine, int flags, unsigned mode) {
  if (!openat2_wanted()) return std::nullopt;
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = resolve_flags(confine);
  for (int attempt = 0; attempt < 32; ++attempt) {
    long fd = ::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how);
    if (fd >= 0) return UniqueFd(static_cast<int>(fd));
    if (errno == ENOSYS || errno == EPERM) return std::nullopt;
    if (errno != EAGAIN && errno != EINTR) return failed(errno, path);
  }
  return std::nullopt;
}

// Makes `name` in the walk's current directory unless someone else just did.
Status make_one(const Walk& walk, const std::string& name, const NewDirectory& attributes) {
  if (::mkdirat(walk.here().get(), name.c_str(), 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail_errno("mkdir \"{}\"", name);
  }
  UniqueFd made(
      ::openat(walk.here().get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) return fail_errno("open new directory \"{}\"", name);
  if ((attributes.uid != ::geteuid() || attributes.gid != ::getegid()) &&
      ::fchown(made.get(), attributes.uid, attributes.gid) != 0)
    return fail_errno("chown \"{}\"", name);
  if (::fchmod(made.get(), attributes.mode) != 0) return fail_errno("chmod \"{}\"", name);
  return {};
}

}  // namespace

Result<UniqueFd> open_confined_by_walk(BorrowedFd root, const std::string& path, Confine confine,
                                       int flags, unsigned mode) {
  ASSIGN_OR_RETURN(auto walk, start_walk(root, path, confine));
  if (walk.ahead.empty()) walk.ahead.emplace_back(".");
  while (true) {
    std::string name = std::move(walk.ahead.back());
    walk.ahead.pop_back();
    if (!walk.ahead.empty()) {
      RETURN_IF_ERROR(step(walk, name, path));
      continue;
    }
    ASSIGN_OR_RETURN(auto opened, open_last(walk, name, path, flags, mode));
    if (opened) return std::move(*opened);
    if (walk.ahead.empty()) walk.ahead.emplace_back(".");  // a link to the root
  }
}

Result<UniqueFd> open_confined(BorrowedFd root, const std::string& path, Confine confine, int flags,
                               unsigned mode) {
  if (path.find('\0') != std::string::npos) return failed(EINVAL, path.c_str());
  const std::string& wanted = path.empty() ? std::string(".") : path;
  if (auto opened = try_openat2(root, wanted, confine, flags, mode)) return std::move(*opened);
  return open_confined_by_walk(root, wanted, confine, flags, mode);
}

Result<UniqueFd> make_directories_confined(BorrowedFd root, const std::string& path,
                                           Confine confine, const NewDirectory& attributes) {
  ASSIGN_OR_RETURN(auto walk, start_walk(root, path, confine));
  int removals = 0;
  while (!walk.ahead.empty()) {
    std::string name = std::move(walk.ahead.back());
    walk.ahead.pop_back();
    auto status = step(walk, name, path);
    if (!status && status.error().sys_errno == ENOENT && ++removals < 4096) {
      RETURN_IF_ERROR(make_one(walk, name, attributes));
      walk.ahead.push_back(std::move(name));
      continue;
    }
    RETURN_IF_ERROR(std::move(status));
  }
  return open_file_at(walk.here(), ".", O_PATH | O_DIRECTORY);
}

namespace {

std::string join_path(const std::vector<std::string>& names) {
  std::string path;
  for (const auto& name : names) path += "/" + name;
  return path;
}

// The tree in which `path` lies, the innermost one, with the path in it as its place: empty for the
// top of a tree, which shows instead of what is beneath.
HungTree tree_of(BorrowedFd root, const std::vector<HungTree>& hung, const std::string& path) {
  HungTree found{path, root};
  std::size_t longest = 0;
  for (const auto& [place, tree] : hung) {
    bool inside =
        path.starts_with(place) && (path.size() == place.size() || path[place.size()] == '/');
    if (!inside || place.size() < longest) continue;
    longest = place.size();
    found = {path.substr(place.size()), tree};
  }
  return found;
}

// What the symlink at `path` says; nullopt if it is no symlink, or not there.
Result<std::optional<std::string>> read_link_in(BorrowedFd root, const std::vector<HungTree>& hung,
                                                const std::string& path) {
  auto [inside, tree] = tree_of(root, hung, path);
  if (inside.empty() || !tree.valid()) return std::nullopt;
  auto opened = open_confined(tree, inside, Confine::kInRoot, O_PATH | O_NOFOLLOW);
  if (!opened) {
    int number = opened.error().sys_errno;
    if (number == ENOENT || number == ENOTDIR) return std::nullopt;
    return tl::unexpected(std::move(opened).error());
  }
  struct stat status = {};
  if (::fstat(opened->get(), &status) != 0) return failed(errno, path);
  if (!S_ISLNK(status.st_mode)) return std::nullopt;
  std::string target(4096, '\0');
  ssize_t length = ::readlinkat(opened->get(), "", target.data(), target.size());
  if (length < 0) return failed(errno, path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

}  // namespace

Result<std::string> resolve_in_root(BorrowedFd root, const std::string& path,
                                    const std::vector<HungTree>& hung) {
  ASSIGN_OR_RETURN(auto walk, start_walk(root, path, Confine::kInRoot));
  std::vector<std::string> found;
  while (!walk.ahead.empty()) {
    std::string name = std::move(walk.ahead.back());
    walk.ahead.pop_back();
    if (name == ".") continue;
    if (name == "..") {
      if (!found.empty()) found.pop_back();
      continue;
    }
    found.push_back(std::move(name));
    ASSIGN_OR_RETURN(auto link, read_link_in(root, hung, join_path(found)));
    if (!link) continue;
    if (++walk.symlinks > kMaxSymlinks) return failed(ELOOP, path);
    if (link->starts_with('/'))
      found.clear();
    else
      found.pop_back();
    push_path(walk, *link);
  }
  return found.empty() ? std::string("/") : join_path(found);
}

Result<std::string> path_of(BorrowedFd fd) {
  std::string path(4096, '\0');
  ssize_t length =
      ::readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), path.data(), path.size());
  if (length < 0) return fail_errno("read the name of an open file");
  path.resize(static_cast<std::size_t>(length));
  return path;
}

Result<UniqueFd> reopen(BorrowedFd path_fd, int flags) {
  return open_file(fmt::format("/proc/self/fd/{}", path_fd.get()), flags);
}

}  // namespace holdfast
