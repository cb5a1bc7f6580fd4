#include "storage/archive/create.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/file.h"
#include "os/safe_path.h"
#include "os/xattr.h"
#include "storage/archive/tar_output.h"

namespace holdfast::archive {
namespace {

constexpr std::uint32_t kOverflowId = 65534;

// An owner as the archive has it.
std::uint32_t shown_id(const std::vector<IdRange>& ranges, std::uint32_t id) {
  if (ranges.empty()) return id;
  std::uint32_t inside = unmap_id(ranges, id);
  return inside == kNoId ? kOverflowId : inside;
}

constexpr std::size_t kBlock = 256 << 10;
constexpr off_t kHoleWorthKeeping = 1 << 20;

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

std::string parent_path(const std::string& path) {
  auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}
std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool vanished(const Error& error) {
  return error.sys_errno == ENOENT || error.sys_errno == ENOTDIR || error.sys_errno == ELOOP;
}

// What the tar of a container or layer carries: not the facts that overlayfs and security modules
// keep about this host.
bool carried(const Xattr& xattr) {
  return !xattr.name.starts_with("trusted.") && xattr.name != "security.selinux";
}

Result<std::vector<std::string>> list_sorted(BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto fd, open_file_at(directory, ".", O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(fd.get()));
  if (!stream) return fail_errno("list directory");
  (void)fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return fail_errno("list directory");
  std::sort(names.begin(), names.end());
  return names;
}

// The walk over one tree. At most one directory is open at a time, however deep the tree: paths
// that wait are resolved again beneath the top.
class Creation {
 public:
  Creation(UniqueFd top, const CreateOptions& options, const Sink& sink)
      : top_(std::move(top)),
        options_(options),
        output_(sink),
        excluded_(options.exclude.begin(), options.exclude.end()) {}

  // `top_` is the tree's directory.
  Status run_tree() {
    if (!options_.name.empty()) RETURN_IF_ERROR(add_top());
    RETURN_IF_ERROR(push_children({}, top_));
    while (!ahead_.empty()) {
      std::string path = std::move(ahead_.back());
      ahead_.pop_back();
      RETURN_IF_ERROR(visit(path));
    }
    return output_.finish();
  }

  // `top_` is the directory of the one thing to write, `name` its name there.
  Status run_one(const std::string& name) {
    RETURN_IF_ERROR(add(top_, name, options_.name.empty() ? name : options_.name, {}));
    return output_.finish();
  }

 private:
  struct Node {
    BorrowedFd directory{-1};
    std::string name;    // in `directory`
    std::string member;  // in the archive
    std::string path;    // below the top
    struct stat status = {};
    std::vector<Xattr> xattrs;
  };

  std::string member_name(const std::string& path) const {
    if (options_.name.empty()) return path;
    return options_.name.ends_with('/') ? options_.name + path : options_.name + "/" + path;
  }

  Status add_top() {
    Node node{top_, {}, options_.name, {}, {}, {}};
    if (::fstat(top_.get(), &node.status) != 0) return fail_errno("stat");
    ASSIGN_OR_RETURN(node.xattrs, read_xattrs(top_));
    return add_plain(node);
  }

  Status push_children(const std::string& path, BorrowedFd directory) {
    ASSIGN_OR_RETURN(auto names, list_sorted(directory));
    for (auto name = names.rbegin(); name != names.rend(); ++name)
      ahead_.push_back(path.empty() ? std::move(*name) : path + "/" + *name);
    return {};
  }

  // The directory a path lies in; opened anew when it isn't the one used last.
  Result<BorrowedFd> directory_of(const std::string& path) {
    std::string parent = parent_path(path);
    if (parent.empty()) return top_.borrow();
    if (!open_ || parent != open_path_) {
      ASSIGN_OR_RETURN(open_, open_confined(top_, parent, Confine::kBeneath,
                                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      open_path_ = std::move(parent);
    }
    return open_.borrow();
  }

  Status visit(const std::string& path) {
    if (options_.cancellation) RETURN_IF_ERROR(options_.cancellation->check());
    if (excluded_.contains(path)) return {};
    auto directory = directory_of(path);
    if (!directory && vanished(directory.error())) return {};
    if (!directory) return tl::unexpected(std::move(directory).error());
    return add(*directory, last_name(path), member_name(path), path);
  }

  Status add(BorrowedFd directory, const std::string& name, const std::string& member,
             const std::string& path) {
    Node node{directory, name, member, path, {}, {}};
    if (::fstatat(directory.get(), name.c_str(), &node.status, AT_SYMLINK_NOFOLLOW) != 0)
      return errno == ENOENT ? Status{} : Status(fail_errno("stat \"{}\"", member));
    if (S_ISSOCK(node.status.st_mode)) return {};
    if (S_ISREG(node.status.st_mode)) return add_regular(node);
    if (options_.overlay_upper && S_ISCHR(node.status.st_mode) && node.status.st_rdev == 0)
      return add_whiteout(node);
    auto xattrs = read_xattrs(directory, name);
    if (!xattrs)
      return vanished(xattrs.error()) ? Status{} : tl::unexpected(std::move(xattrs).error());
    node.xattrs = *std::move(xattrs);
    if (S_ISDIR(node.status.st_mode)) return add_directory(node);
    if (node.status.st_nlink > 1 && add_as_link(node)) return std::move(link_result_);
    return add_plain(node);
  }

  Status add_whiteout(const Node& node) {
    auto slash = node.member.rfind('/');
    std::size_t at = slash == std::string::npos ? 0 : slash + 1;
    std::string member = node.member;
    return add_empty(member.insert(at, ".wh."));
  }

  Status add_empty(const std::string& member) {
    Entry entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), member.c_str());
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), 0600);
    ::archive_entry_set_size(entry.get(), 0);
    ::archive_entry_set_mtime(entry.get(), 0, 0);
    return output_.header(entry.get());
  }

  Status add_directory(const Node& node) {
    RETURN_IF_ERROR(add_plain(node));
    bool opaque =
        options_.overlay_upper && std::any_of(node.xattrs.begin(), node.xattrs.end(), [](auto& x) {
          return x.name == "trusted.overlay.opaque" && x.value == "y";
        });
    if (opaque) RETURN_IF_ERROR(add_empty(node.member + "/.wh..wh..opq"));
    auto directory = open_file_at(node.directory, node.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory)
      return vanished(directory.error()) ? Status{} : tl::unexpected(std::move(directory).error());
    RETURN_IF_ERROR(push_children(node.path, *directory));
    open_ = *std::move(directory);
    open_path_ = node.path;
    return {};
  }

  Entry entry_of(const Node& node) {
    Entry entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), node.member.c_str());
    ::archive_entry_set_filetype(entry.get(), node.status.st_mode & S_IFMT);
    ::archive_entry_set_perm(entry.get(), node.status.st_mode & 07777);
    ::archive_entry_set_uid(entry.get(), shown_id(options_.ids.uids, node.status.st_uid));
    ::archive_entry_set_gid(entry.get(), shown_id(options_.ids.gids, node.status.st_gid));
    ::archive_entry_set_size(entry.get(), S_ISREG(node.status.st_mode) ? node.status.st_size : 0);
    ::archive_entry_set_mtime(entry.get(), node.status.st_mtim.tv_sec, 0);
    if (S_ISCHR(node.status.st_mode) || S_ISBLK(node.status.st_mode))
      ::archive_entry_set_rdev(entry.get(), node.status.st_rdev);
    for (const auto& xattr : node.xattrs) {
      if (carried(xattr)) {
        ::archive_entry_xattr_add_entry(entry.get(), xattr.name.c_str(), xattr.value.data(),
                                        xattr.value.size());
      }
    }
    return entry;
  }

  // Everything without content: directories, symlinks, devices, FIFOs.
  Status add_plain(const Node& node) {
    auto entry = entry_of(node);
    if (S_ISLNK(node.status.st_mode)) {
      std::string target(4096, '\0');
      ssize_t length =
          ::readlinkat(node.directory.get(), node.name.c_str(), target.data(), target.size());
      if (length < 0)
        return errno == ENOENT || errno == EINVAL
                   ? Status{}
                   : Status(fail_errno("read link \"{}\"", node.member));
      target.resize(static_cast<std::size_t>(length));
      ::archive_entry_set_symlink(entry.get(), target.c_str());
    }
    return output_.header(entry.get());
  }

  // Whether this is a further name of something written already; then it is written as such.
  bool add_as_link(const Node& node) {
    auto [known, fresh] = links_.try_emplace({node.status.st_dev, node.status.st_ino}, node.member);
    if (fresh) return false;
    auto entry = entry_of(node);
    ::archive_entry_set_size(entry.get(), 0);
    ::archive_entry_set_hardlink(entry.get(), known->second.c_str());
    link_result_ = output_.header(entry.get());
    return true;
  }

  Status add_regular(Node& node) {
    // The type was looked at first: opening a device would do something.
    auto file =
        open_file_at(node.directory, node.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (!file) return vanished(file.error()) ? Status{} : tl::unexpected(std::move(file).error());
    if (::fstat(file->get(), &node.status) != 0) return fail_errno("stat \"{}\"", node.member);
    if (!S_ISREG(node.status.st_mode)) return {};
    if (node.status.st_nlink > 1 && add_as_link(node)) return std::move(link_result_);
    ASSIGN_OR_RETURN(node.xattrs, read_xattrs(*file));
    auto entry = entry_of(node);
    bool sparse = node.status.st_blocks * 512 + kHoleWorthKeeping < node.status.st_size;
    if (sparse) {
      ASSIGN_OR_RETURN(auto data, data_extents(*file, node.status.st_size));
      for (auto [from, length] : data) ::archive_entry_sparse_add_entry(entry.get(), from, length);
      RETURN_IF_ERROR(output_.header(entry.get()));
      return write_sparse(*file, data, node.status.st_size);
    }
    RETURN_IF_ERROR(output_.header(entry.get()));
    return write_range(*file, 0, node.status.st_size);
  }

  using Extents = std::vector<std::pair<off_t, off_t>>;  // {offset, length}

  static Result<Extents> data_extents(BorrowedFd file, off_t size) {
    Extents extents;
    off_t at = 0;
    while (at < size) {
      off_t data = ::lseek(file.get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      if (data < 0) return fail_errno("seek");
      off_t hole = std::min(::lseek(file.get(), data, SEEK_HOLE), size);
      if (hole <= data) break;
      extents.emplace_back(data, hole - data);
      at = hole;
    }
    // An empty extent at the end tells readers the full size.
    if (extents.empty() || extents.back().first + extents.back().second < size)
      extents.emplace_back(size, 0);
    return extents;
  }

  Status write_sparse(BorrowedFd file, const Extents& extents, off_t size) {
    off_t at = 0;
    for (auto [from, length] : extents) {
      RETURN_IF_ERROR(write_zeros(from - at));
      RETURN_IF_ERROR(write_range(file, from, length));
      at = from + length;
    }
    return write_zeros(size - at);
  }

  Status write_zeros(off_t count) {
    static const std::string zeros(kBlock, '\0');
    while (count > 0) {
      auto part = static_cast<std::size_t>(std::min<off_t>(count, kBlock));
      if (options_.cancellation) RETURN_IF_ERROR(options_.cancellation->check());
      RETURN_IF_ERROR(output_.data({zeros.data(), part}));
      count -= static_cast<off_t>(part);
    }
    return {};
  }

  Status write_range(BorrowedFd file, off_t offset, off_t count) {
    buffer_.resize(kBlock);
    while (count > 0) {
      if (options_.cancellation) RETURN_IF_ERROR(options_.cancellation->check());
      auto wanted = static_cast<std::size_t>(std::min<off_t>(count, kBlock));
      ssize_t got = ::pread(file.get(), buffer_.data(), wanted, offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("read");
      if (got == 0) return write_zeros(count);  // it shrank: the header has promised more
      RETURN_IF_ERROR(output_.data({buffer_.data(), static_cast<std::size_t>(got)}));
      offset += got;
      count -= got;
    }
    return {};
  }

  UniqueFd top_;
  const CreateOptions& options_;
  TarOutput output_;
  std::set<std::string> excluded_;
  std::vector<std::string> ahead_;  // the next one last
  UniqueFd open_;
  std::string open_path_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  Status link_result_;
  std::vector<char> buffer_;
};

}  // namespace

Status create(BorrowedFd root, const std::string& path, const CreateOptions& options,
              const Sink& sink) {
  ASSIGN_OR_RETURN(auto named, open_confined(root, path, Confine::kInRoot, O_PATH | O_NOFOLLOW));
  struct stat status = {};
  if (::fstat(named.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  if (S_ISDIR(status.st_mode)) {
    ASSIGN_OR_RETURN(auto top, open_file_at(named, ".", O_RDONLY | O_DIRECTORY));
    return Creation(std::move(top), options, sink).run_tree();
  }
  std::string name = last_name(path);
  ASSIGN_OR_RETURN(
      auto top, open_confined(root, parent_path(path), Confine::kInRoot, O_RDONLY | O_DIRECTORY));
  return Creation(std::move(top), options, sink).run_one(name);
}

}  // namespace holdfast::archive
