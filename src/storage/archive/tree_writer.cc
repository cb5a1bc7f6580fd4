#include "storage/archive/tree_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <unordered_set>

#include "base/file.h"
#include "os/safe_path.h"
#include "storage/archive/remove_entry.h"

namespace holdfast::archive {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kMetadata = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr char kOpaqueXattr[] = "trusted.overlay.opaque";

// Read rather than set: the umask belongs to the whole process.
unsigned process_umask() {
  auto status = read_file("/proc/self/status");
  if (!status) return 077;
  auto at = status->find("\nUmask:");
  if (at == std::string::npos) return 077;
  return static_cast<unsigned>(std::strtoul(status->c_str() + at + 7, nullptr, 8));
}

std::string parent_path(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

// trusted.* is how overlayfs and others keep facts of their own: never from outside.
bool forbidden(const Xattr& xattr) { return xattr.name.starts_with("trusted."); }

// Set when all is there: what is made in a directory with one would inherit it.
bool is_default_acl(const Xattr& xattr) { return xattr.name == "system.posix_acl_default"; }

std::optional<Xattr> default_acl_of(const Member& member) {
  auto found = std::find_if(member.xattrs.begin(), member.xattrs.end(), is_default_acl);
  return found == member.xattrs.end() ? std::nullopt : std::optional(*found);
}

// What a file system (ENOTSUP) or a file's type (EPERM for user.* of symlinks and devices) cannot
// have is left out, as Docker does.
bool may_be_absent(const Error& error, const Xattr& xattr) {
  if (error.sys_errno == ENOTSUP) return true;
  return error.sys_errno == EPERM && (xattr.name.starts_with("user.") || ::geteuid() != 0);
}

}  // namespace

Result<std::string> clean_member_name(std::string_view name) {
  std::string clean;
  std::size_t at = 0;
  while (at < name.size()) {
    std::size_t slash = std::min(name.find('/', at), name.size());
    std::string_view part = name.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (clean.empty())
        return fail(Code::kInvalidArgument, "archive member \"{}\" is outside of the archive",
                    name);
      clean = parent_path(clean);
      continue;
    }
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  if (clean.size() >= PATH_MAX) {
    return fail(Code::kInvalidArgument, "archive member \"{}...\": name of {} bytes is too long",
                name.substr(0, 64), clean.size());
  }
  return clean;
}

TreeWriter::TreeWriter(BorrowedFd root, std::string base, const ExtractOptions& options)
    : root_(root),
      base_(std::move(base)),
      options_(options),
      may_chown_(::geteuid() == 0),
      umask_(process_umask()) {}

std::string TreeWriter::in_root(const std::string& path) const {
  if (path.empty()) return base_.empty() ? "." : base_;
  if (base_.empty()) return path;
  return base_ + "/" + path;
}

Result<UniqueFd> TreeWriter::open_directory(const std::string& path) {
  return open_confined(root_, in_root(path), Confine::kInRoot, O_RDONLY | O_DIRECTORY);
}

Result<BorrowedFd> TreeWriter::parent_of(const std::string& path) {
  std::string parent = parent_path(path);
  if (cached_parent_ && parent == cached_path_) return cached_parent_.borrow();
  auto fd = open_directory(parent);
  if (!fd && fd.error().sys_errno == ENOENT) {
    RETURN_IF_ERROR(make_missing(parent));
    fd = open_directory(parent);
  }
  if (!fd) return tl::unexpected(std::move(fd).error());
  cached_parent_ = *std::move(fd);
  cached_path_ = std::move(parent);
  return cached_parent_.borrow();
}

// Makes the directories of `path` that are missing, as mkdir -p does; one step a component.
Status TreeWriter::make_missing(const std::string& path) {
  ASSIGN_OR_RETURN(auto here, open_directory({}));
  for (std::size_t start = 0; start < path.size();) {
    std::size_t end = std::min(path.find('/', start), path.size());
    std::string name = path.substr(start, end - start);
    std::string so_far = path.substr(0, end);
    start = end + 1;
    if (::mkdirat(here.get(), name.c_str(), 0755) == 0) {
      result_.implied_directories.push_back(so_far);
    } else if (errno != EEXIST) {
      return fail_errno("mkdir \"{}\"", so_far);
    }
    UniqueFd next(
        ::openat(here.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next && errno != ELOOP && errno != ENOTDIR) return fail_errno("open \"{}\"", so_far);
    if (!next) {
      // A symlink: it leads on inside the root, and has its target made if it dangles.
      ASSIGN_OR_RETURN(auto made,
                       make_directories_confined(root_, in_root(so_far), Confine::kInRoot));
      ASSIGN_OR_RETURN(next, open_directory(so_far));
    }
    here = std::move(next);
    bool narrowed = !result_.implied_directories.empty() &&
                    result_.implied_directories.back() == so_far && (umask_ & 0755) != 0;
    if (narrowed && ::fchmod(here.get(), 0755) != 0) return fail_errno("chmod \"{}\"", so_far);
  }
  return {};
}

Status TreeWriter::add(const Member& member, const WriteContent& content) {
  ASSIGN_OR_RETURN(std::string path, clean_member_name(member.name));
  if (path.empty()) {
    if (member.type == Member::Type::kDirectory)
      return options_.overlay_whiteouts ? set_root_attributes(member) : Status{};
    return fail(Code::kInvalidArgument, "archive member \"{}\" has no name", member.name);
  }
  ASSIGN_OR_RETURN(auto parent, parent_of(path));
  std::string name = last_name(path);
  if (options_.overlay_whiteouts && name.starts_with(kWhiteout))
    return make_whiteout(parent, name, path);
  Place place{parent, std::move(name), member, std::move(path)};
  auto made = make(place, content);
  if (!made) return tl::unexpected(std::move(made).error().wrap(fmt::format("\"{}\"", place.path)));
  return {};
}

Status TreeWriter::make(Place& place, const WriteContent& content) {
  switch (place.member.type) {
    case Member::Type::kDirectory:
      return make_directory(place);
    case Member::Type::kRegular:
      return make_regular(place, content);
    case Member::Type::kSymlink:
      return make_symlink(place);
    case Member::Type::kHardLink:
      return make_hard_link(place);
    case Member::Type::kFifo:
    case Member::Type::kCharacter:
    case Member::Type::kBlock:
      return make_node(place);
  }
  return {};
}

// OCI image spec, layer.md, "Whiteouts"; overlayfs.rst, "whiteouts and opaque directories".
Status TreeWriter::make_whiteout(BorrowedFd parent, const std::string& name,
                                 const std::string& path) {
  if (name == kOpaque) return write_xattr(parent, {}, Xattr{kOpaqueXattr, "y"});
  if (name.starts_with(kMetadata)) return {};  // aufs's own bookkeeping
  std::string hidden = name.substr(kWhiteout.size());
  if (hidden.empty() || hidden == "." || hidden == "..")
    return fail(Code::kInvalidArgument, "invalid whiteout \"{}\"", path);
  if (::mknodat(parent.get(), hidden.c_str(), S_IFCHR, makedev(0, 0)) == 0) return {};
  if (errno != EEXIST) return fail_errno("whiteout \"{}\"", path);
  // The layer has something of that name already: it hides what is below, directories by being
  // opaque.
  UniqueFd directory(::openat(parent.get(), hidden.c_str(),
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!directory) return {};
  return write_xattr(directory, {}, Xattr{kOpaqueXattr, "y"});
}

Result<bool> TreeWriter::clear_way(Place& place) {
  struct stat status = {};
  if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return true;
    return fail_errno("stat");
  }
  bool is_directory = S_ISDIR(status.st_mode);
  bool want_directory = place.member.type == Member::Type::kDirectory;
  if (is_directory && want_directory) return false;
  if (options_.no_overwrite_dir_non_dir && is_directory)
    return fail(Code::kInvalidArgument, "cannot overwrite directory with non-directory");
  if (options_.no_overwrite_dir_non_dir && want_directory)
    return fail(Code::kInvalidArgument, "cannot overwrite non-directory with directory");
  cached_parent_.reset();  // may be what goes; the borrowed one is reopened below
  ASSIGN_OR_RETURN(auto parent, parent_of(place.path));
  RETURN_IF_ERROR(remove_entry(parent, place.name));
  place.parent = parent;
  return true;
}

Status TreeWriter::make_directory(Place& place) {
  const Member& member = place.member;
  bool opaque = false;
  if (::mkdirat(place.parent.get(), place.name.c_str(), (member.mode & 0777) | 0700) != 0) {
    if (errno != EEXIST) return fail_errno("mkdir");
    struct stat status = {};
    opaque = options_.overlay_whiteouts &&
             ::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
             is_whiteout(status);
    ASSIGN_OR_RETURN(bool cleared, clear_way(place));
    if (cleared && ::mkdirat(place.parent.get(), place.name.c_str(), 0700) != 0)
      return fail_errno("mkdir");
  }
  RETURN_IF_ERROR(chown_entry(place));
  RETURN_IF_ERROR(set_xattrs(place.parent, place.name, place));
  if (opaque) RETURN_IF_ERROR(write_xattr(place.parent, place.name, Xattr{kOpaqueXattr, "y"}));
  late_.push_back({place.path, member.mode & 07777, member.mtime, default_acl_of(member)});
  return {};
}

Status TreeWriter::make_regular(Place& place, const WriteContent& content) {
  const Member& member = place.member;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  unsigned mode = member.mode & 0777;
  UniqueFd file(::openat(place.parent.get(), place.name.c_str(), kFlags, mode));
  if (!file && errno == EEXIST) {
    ASSIGN_OR_RETURN([[maybe_unused]] bool cleared, clear_way(place));
    file.reset(::openat(place.parent.get(), place.name.c_str(), kFlags, mode));
  }
  if (!file) return fail_errno("create");
  RETURN_IF_ERROR(content(file));
  RETURN_IF_ERROR(chown_file(file, place));
  // Writing and chown(2) clear set-id bits and capabilities: these come last.
  bool mode_as_made = (member.mode & 07777) == (mode & ~umask_);
  if (!mode_as_made && ::fchmod(file.get(), member.mode & 07777) != 0) return fail_errno("chmod");
  RETURN_IF_ERROR(set_xattrs(file, {}, place));
  struct timespec times[2] = {member.mtime, member.mtime};
  if (::futimens(file.get(), times) != 0) return fail_errno("set times");
  result_.bytes += member.size;
  return {};
}

Status TreeWriter::make_symlink(Place& place) {
  const Member& member = place.member;
  if (::symlinkat(member.link.c_str(), place.parent.get(), place.name.c_str()) != 0) {
    if (errno != EEXIST) return fail_errno("symlink");
    ASSIGN_OR_RETURN([[maybe_unused]] bool cleared, clear_way(place));
    if (::symlinkat(member.link.c_str(), place.parent.get(), place.name.c_str()) != 0)
      return fail_errno("symlink");
  }
  RETURN_IF_ERROR(chown_entry(place));
  RETURN_IF_ERROR(set_xattrs(place.parent, place.name, place));
  struct timespec times[2] = {member.mtime, member.mtime};
  if (::utimensat(place.parent.get(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("set times");
  result_.bytes += member.link.size();
  return {};
}

Status TreeWriter::make_hard_link(Place& place) {
  ASSIGN_OR_RETURN(std::string target, clean_member_name(place.member.link));
  if (target.empty()) return fail(Code::kInvalidArgument, "hard link to a directory");
  if (target == place.path) return {};
  // The parent is resolved inside the root like any other; linkat(2) does not follow the last name.
  ASSIGN_OR_RETURN(auto directory, open_directory(parent_path(target)));
  std::string name = last_name(target);
  auto link = [&] {
    return ::linkat(directory.get(), name.c_str(), place.parent.get(), place.name.c_str(), 0) == 0;
  };
  if (link()) return {};
  if (errno == EEXIST) {
    ASSIGN_OR_RETURN([[maybe_unused]] bool cleared, clear_way(place));
    if (link()) return {};
  }
  return fail_errno("hard link to \"{}\"", target);
}

Status TreeWriter::make_node(Place& place) {
  const Member& member = place.member;
  mode_t type = member.type == Member::Type::kFifo        ? S_IFIFO
                : member.type == Member::Type::kCharacter ? S_IFCHR
                                                          : S_IFBLK;
  if (type != S_IFIFO && !options_.devices)
    return fail(Code::kInvalidArgument, "device nodes are not allowed here");
  auto make = [&] {
    return ::mknodat(place.parent.get(), place.name.c_str(), type | (member.mode & 0777),
                     member.device) == 0;
  };
  if (!make()) {
    if (errno != EEXIST) return fail_errno("mknod");
    ASSIGN_OR_RETURN([[maybe_unused]] bool cleared, clear_way(place));
    if (!make()) return fail_errno("mknod");
  }
  RETURN_IF_ERROR(chown_entry(place));
  ASSIGN_OR_RETURN(auto node, open_file_at(place.parent, place.name, O_PATH | O_NOFOLLOW));
  // chmod(2) by name would follow a symlink put there meanwhile.
  std::string by_fd = fmt::format("/proc/self/fd/{}", node.get());
  if (::chmod(by_fd.c_str(), member.mode & 07777) != 0) return fail_errno("chmod");
  RETURN_IF_ERROR(set_xattrs(place.parent, place.name, place));
  struct timespec times[2] = {member.mtime, member.mtime};
  if (::utimensat(place.parent.get(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("set times");
  return {};
}

Owner TreeWriter::owner_of(const Member& member) const {
  return options_.owner.value_or(member.owner);
}

Status TreeWriter::chown_entry(const Place& place) {
  if (!may_chown_) return {};
  Owner owner = owner_of(place.member);
  if (::fchownat(place.parent.get(), place.name.c_str(), owner.uid, owner.gid,
                 AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("chown");
  return {};
}

Status TreeWriter::chown_file(BorrowedFd file, const Place& place) {
  if (!may_chown_) return {};
  Owner owner = owner_of(place.member);
  if (::fchown(file.get(), owner.uid, owner.gid) != 0) return fail_errno("chown");
  return {};
}

Status TreeWriter::set_xattrs(BorrowedFd file, const std::string& name, const Place& place) {
  for (const auto& xattr : place.member.xattrs) {
    if (forbidden(xattr) || is_default_acl(xattr)) continue;
    auto written = write_xattr(file, name, xattr);
    if (!written && !may_be_absent(written.error(), xattr)) return written;
  }
  return {};
}

// The archive's entry for its own top: the attributes of the directory that is unpacked into.
Status TreeWriter::set_root_attributes(const Member& member) {
  ASSIGN_OR_RETURN(auto top, open_directory({}));
  Place place{top, {}, member, {}};
  RETURN_IF_ERROR(chown_file(top, place));
  RETURN_IF_ERROR(set_xattrs(top, {}, place));
  late_.push_back({std::string(), member.mode & 07777, member.mtime, default_acl_of(member)});
  return {};
}

Status TreeWriter::set_late(const LateDirectory& late) {
  auto directory = open_confined(root_, in_root(late.path), Confine::kInRoot,
                                 O_RDONLY | O_DIRECTORY | (late.path.empty() ? 0 : O_NOFOLLOW));
  if (!directory) {
    // Replaced by a later member of the archive, or by whoever else has the tree open.
    int number = directory.error().sys_errno;
    if (number == ENOENT || number == ENOTDIR || number == ELOOP) return {};
    return tl::unexpected(std::move(directory).error());
  }
  if (late.default_acl) {
    auto written = write_xattr(*directory, {}, *late.default_acl);
    if (!written && !may_be_absent(written.error(), *late.default_acl)) return written;
  }
  if (late.mode && ::fchmod(directory->get(), *late.mode) != 0)
    return fail_errno("chmod \"{}\"", late.path);
  struct timespec times[2] = {late.mtime, late.mtime};
  if (::futimens(directory->get(), times) != 0) return fail_errno("set times \"{}\"", late.path);
  return {};
}

Status TreeWriter::finish() {
  cached_parent_.reset();
  // Deepest first: without privilege a directory may be closed to us once it has its mode. Of two
  // entries for one directory the later counts.
  std::unordered_set<std::string_view> seen;
  for (auto late = late_.rbegin(); late != late_.rend(); ++late) {
    if (seen.insert(late->path).second) RETURN_IF_ERROR(set_late(*late));
  }
  return {};
}

}  // namespace holdfast::archive
