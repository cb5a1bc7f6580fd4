#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/file.h"
#include "engine/engine_impl.h"
#include "engine/mounts/mount_plan.h"
#include "os/file_identity.h"
#include "os/private_namespace.h"
#include "os/safe_path.h"
#include "storage/archive/create.h"
#include "storage/archive/extract.h"

// Files of containers: cp both ways, export, diff. Paths are resolved inside the container's root
// by descriptor; nothing of the container is ever executed.
namespace holdfast {
namespace {

// Bits of Go's os.FileMode (io/fs).
constexpr std::uint32_t kGoDir = 1u << 31;
constexpr std::uint32_t kGoSymlink = 1u << 27;
constexpr std::uint32_t kGoDevice = 1u << 26;
constexpr std::uint32_t kGoNamedPipe = 1u << 25;
constexpr std::uint32_t kGoSocket = 1u << 24;
constexpr std::uint32_t kGoSetuid = 1u << 23;
constexpr std::uint32_t kGoSetgid = 1u << 22;
constexpr std::uint32_t kGoCharDevice = 1u << 21;
constexpr std::uint32_t kGoSticky = 1u << 20;

std::uint32_t go_mode(mode_t mode) {
  std::uint32_t result = mode & 0777;
  if (S_ISDIR(mode)) result |= kGoDir;
  if (S_ISLNK(mode)) result |= kGoSymlink;
  if (S_ISBLK(mode)) result |= kGoDevice;
  if (S_ISCHR(mode)) result |= kGoDevice | kGoCharDevice;
  if (S_ISFIFO(mode)) result |= kGoNamedPipe;
  if (S_ISSOCK(mode)) result |= kGoSocket;
  if (mode & S_ISUID) result |= kGoSetuid;
  if (mode & S_ISGID) result |= kGoSetgid;
  if (mode & S_ISVTX) result |= kGoSticky;
  return result;
}

bool is_directory(BorrowedFd fd) {
  struct stat status = {};
  return ::fstat(fd.get(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The root of a container that doesn't run, as it would see it: its layers with its volumes and
// binds in place.
class StoppedRoot {
 public:
  StoppedRoot(Engine::Impl& impl, const Container& container)
      : impl_(impl),
        container_(container),
        data_(container.view()),
        holder_("archive-" + container.id.str()) {
    for (const auto& mount : data_.mounts) {
      if (mount.has_source()) mounts_.push_back(mount);
    }
  }
  StoppedRoot(const StoppedRoot&) = delete;
  StoppedRoot& operator=(const StoppedRoot&) = delete;
  ~StoppedRoot() {
    prepared_ = {};
    for (const auto& mount : mounts_) {
      if (mount.type != MountType::kVolume) continue;
      (void)impl_.parts.volumes.unmount(VolumeName(mount.source), holder_);
      impl_.parts.volumes.release(VolumeName(mount.source), holder_);
    }
  }

  // Opens and clones all sources: in the daemon's own namespace, as only what hangs there can be
  // cloned.
  Status prepare() {
    ASSIGN_OR_RETURN(auto layers, impl_.parts.images.layer_paths(container_.image));
    ASSIGN_OR_RETURN(auto root, impl_.folders.mount_root(container_.id, layers, false));
    root_ = std::make_unique<DetachedMount>(std::move(root));
    ASSIGN_OR_RETURN(auto user, resolve_user(json::string_or(data_.config, "User"),
                                             json::strings_or_empty(data_.host_config, "GroupAdd"),
                                             root_->root()));
    MountContext context{
        container_.id, holder_, data_.requester, root_->root(), Ownership{user, std::nullopt},
        false};
    ASSIGN_OR_RETURN(prepared_, impl_.mounts.prepare(mounts_, context));
    return {};
  }

  // Hangs all on the container's own folder, in the private namespace this is called in, and works
  // there.
  Status assemble(const std::function<Status(BorrowedFd)>& work) {
    std::string place = impl_.folders.folder(container_.id);
    ASSIGN_OR_RETURN(auto folder, open_file(place, O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(auto root, std::move(*root_).attach(folder, "", place));
    std::vector<MountGuard> guards;
    for (std::size_t i = 0; i < mounts_.size(); ++i) {
      const std::string& place_inside = prepared_.mounts[i].target;
      auto target = open_confined(root.root(), place_inside, Confine::kInRoot, O_PATH);
      if (!target && is_directory(prepared_.trees[i].root())) {
        target = make_directories_confined(root.root(), place_inside, Confine::kInRoot);
      }
      // The stub of a file is made when the container starts: there is nothing to see below it now.
      if (!target) continue;
      ASSIGN_OR_RETURN(auto guard, std::move(prepared_.trees[i]).attach(*target, "", place_inside));
      guards.push_back(std::move(guard));
    }
    auto status = work(root.root());
    while (!guards.empty()) guards.pop_back();  // the last one hangs on top
    return status;
  }

 private:
  Engine::Impl& impl_;
  const Container& container_;
  const ContainerData data_;
  const HolderId holder_;
  std::vector<MountPoint> mounts_;
  std::unique_ptr<DetachedMount> root_;
  PreparedMounts prepared_;
};

// A container's root directory, and whose the owners in it are: those of its user namespace while
// it runs in one.
struct RootView {
  BorrowedFd root;
  IdMap ids;
};

// Runs `work` on the root directory of a running container as who owns its files.
Status work_in_running(const Container& container, BorrowedFd root,
                       const std::function<Status(const RootView&)>& work) {
  auto range = container.view().user_range;
  if (!range) return work({root, {}});
  return run_with_file_identity(range->uid, range->gid, [&] { return work({root, range->map()}); });
}

// Runs `work` with the root directory of the container, which is not started, removed or otherwise
// changed meanwhile when it doesn't run.
Status with_root(Engine::Impl& impl, const ContainerPtr& container,
                 const std::function<Status(const RootView&)>& work) {
  if (container->state().running()) {
    auto root = impl.parts.runtime.open_root(container->id);
    if (root) return work_in_running(*container, *root, work);
    if (root.error().code != Code::kNotFound) return tl::unexpected(std::move(root).error());
    // It has just ended.
  }
  auto guard = container->slot.acquire();
  if (container->state().status == ContainerStatus::kRemoving) {
    return fail(Code::kConflict, "container {} is being removed", container->id);
  }
  StoppedRoot stopped(impl, *container);
  RETURN_IF_ERROR(stopped.prepare());
  return run_in_private_mount_namespace([&] {
    return stopped.assemble([&](BorrowedFd root) { return work({root, {}}); });
  });
}

archive::Owner owner_in(const RootView& view, const ContainerUser& user) {
  if (view.ids.uids.empty()) return {user.uid, user.gid};
  return {map_id(view.ids.uids, user.uid), map_id(view.ids.gids, user.gid)};
}

// The same with the container's own files alone: what is mounted over them, files such as secrets
// included, is not there.
Status with_own_files(Engine::Impl& impl, const ContainerPtr& container,
                      const std::function<Status(const RootView&)>& work) {
  if (container->state().running()) {
    auto root = impl.parts.runtime.clone_mount(container->id, "/");
    if (root) return work_in_running(*container, *root, work);
    if (root.error().code != Code::kNotFound) return tl::unexpected(std::move(root).error());
  }
  auto guard = container->slot.acquire();
  if (container->state().status == ContainerStatus::kRemoving) {
    return fail(Code::kConflict, "container {} is being removed", container->id);
  }
  ASSIGN_OR_RETURN(auto layers, impl.parts.images.layer_paths(container->image));
  ASSIGN_OR_RETURN(auto root, impl.folders.mount_root(container->id, layers, false));
  return work({root.root(), {}});
}

tl::unexpected<Error> no_such_file(const std::string& path, const std::string& container) {
  return fail(Code::kNotFound, "Could not find the file {} in container {}", path, container);
}

std::string base_name(const std::string& clean) {
  return clean == "/" ? "/" : clean.substr(clean.find_last_of('/') + 1);
}

Result<PathStat> stat_in(BorrowedFd root, const std::string& path, const std::string& container) {
  std::string clean = clean_path("/" + path);
  bool follow = path.ends_with("/") || path.ends_with("/.");
  auto fd =
      open_confined(root, clean, Confine::kInRoot, O_PATH | (follow ? O_DIRECTORY : O_NOFOLLOW));
  if (!fd && fd.error().sys_errno == ENOTDIR && follow)
    return fail(Code::kInvalidArgument, "not a directory");
  if (!fd) return no_such_file(path, container);
  struct stat status = {};
  if (::fstat(fd->get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  PathStat result;
  result.name = base_name(clean);
  result.size = status.st_size;
  result.mode = go_mode(status.st_mode);
  result.modified = Time(std::chrono::seconds(status.st_mtim.tv_sec) +
                         std::chrono::nanoseconds(status.st_mtim.tv_nsec));
  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    ssize_t length = ::readlinkat(fd->get(), "", target, sizeof target);
    if (length > 0) result.link_target.assign(target, static_cast<std::size_t>(length));
  }
  return result;
}

}  // namespace

json::Object PathStat::to_json() const {
  return json::Object{{"name", name},
                      {"size", size},
                      {"mode", mode},
                      {"mtime", to_rfc3339(modified)},
                      {"linkTarget", link_target}};
}

Result<PathStat> Engine::stat_path(const std::string& name, const std::string& path) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  PathStat result;
  RETURN_IF_ERROR(with_root(impl, container, [&](const RootView& view) -> Status {
    ASSIGN_OR_RETURN(result, stat_in(view.root, path, name));
    return {};
  }));
  return result;
}

Status Engine::get_archive(const std::string& name, const std::string& path,
                           const std::function<archive::Sink(const PathStat&)>& begin) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  RETURN_IF_ERROR(with_root(impl, container, [&](const RootView& view) -> Status {
    ASSIGN_OR_RETURN(auto status, stat_in(view.root, path, name));
    bool contents = path.ends_with("/.");
    archive::CreateOptions options;
    options.name = contents ? "." : status.name;
    options.ids = view.ids;
    std::string inside = clean_path("/" + path);
    return archive::create(view.root, path.ends_with("/") || contents ? inside + "/." : inside,
                           options, begin(status));
  }));
  impl.publish(*container, "archive-path");
  return {};
}

Status Engine::put_archive(const std::string& name, const std::string& path,
                           const PutArchiveOptions& options, const archive::Source& tar) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  std::string inside = clean_path("/" + path);
  ContainerData data = container->view();
  if (json::bool_or(data.host_config, "ReadonlyRootfs")) {
    bool on_mount =
        std::any_of(data.mounts.begin(), data.mounts.end(), [&](const MountPoint& mount) {
          return !mount.read_only && (inside + "/").starts_with(mount.target + "/");
        });
    if (!on_mount) return fail(Code::kPermissionDenied, "container rootfs is marked read-only");
  }
  RETURN_IF_ERROR(with_root(impl, container, [&](const RootView& view) -> Status {
    auto target = open_confined(view.root, inside, Confine::kInRoot, O_PATH);
    if (!target) return no_such_file(path, name);
    struct stat status = {};
    if (::fstat(target->get(), &status) != 0) return fail_errno("stat \"{}\"", path);
    if (!S_ISDIR(status.st_mode))
      return fail(Code::kInvalidArgument, "extraction point is not a directory");
    archive::ExtractOptions extract_options;
    extract_options.no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir;
    extract_options.ids = view.ids;
    // The files become the container's user's where it has one; else owners are the archive's.
    if (std::string name = json::string_or(data.config, "User");
        options.copy_owner && !name.empty()) {
      ASSIGN_OR_RETURN(auto user, resolve_user(name, {}, view.root));
      extract_options.owner = owner_in(view, user);
    }
    ASSIGN_OR_RETURN(auto extracted, archive::extract(tar, view.root, inside, extract_options));
    (void)extracted;
    return {};
  }));
  impl.publish(*container, "extract-to-dir");
  return {};
}

Status Engine::export_container(const std::string& name,
                                const std::function<archive::Sink()>& begin) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  RETURN_IF_ERROR(with_own_files(impl, container, [&](const RootView& view) -> Status {
    archive::CreateOptions options;
    options.ids = view.ids;
    return archive::create(view.root, "/", options, begin());
  }));
  impl.publish(*container, "export");
  return {};
}

namespace {

enum ChangeKind { kModified = 0, kAdded = 1, kDeleted = 2 };

// What the runtime puts into every container's root by itself.
bool is_mount_stub(const std::string& path) {
  static const std::set<std::string> kStubs = {"/dev",
                                               "/proc",
                                               "/sys",
                                               "/etc/hosts",
                                               "/etc/hostname",
                                               "/etc/resolv.conf",
                                               "/sbin/docker-init"};
  return kStubs.contains(path);
}

// Whether a directory of the image is in the writable layer only for the mount stubs in it.
bool holds_only_stubs(const std::set<std::string>& names, const std::string& path,
                      const struct stat& above, const struct stat& below) {
  bool same = above.st_mode == below.st_mode && above.st_uid == below.st_uid &&
              above.st_gid == below.st_gid;
  return same && names.size() > 2 &&
         std::all_of(names.begin(), names.end(), [&](const std::string& name) {
           return name == "." || name == ".." || is_mount_stub(path + "/" + name);
         });
}

Result<std::set<std::string>> names_of(BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto stream_fd, reopen(directory, O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(stream_fd.release());
  if (!stream) return fail_errno("read directory");
  std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
  std::set<std::string> names;
  while (const dirent* entry = ::readdir(stream)) names.emplace(entry->d_name);
  return names;
}

// Lists what the writable layer in `upper` changes of the image's directory `lower` (which may be
// absent).
Status list_changes(BorrowedFd upper, BorrowedFd lower, const std::string& path, json::Array& out) {
  ASSIGN_OR_RETURN(auto names, names_of(upper));
  for (const auto& name : names) {
    if (name == "." || name == "..") continue;
    struct stat above = {};
    struct stat below = {};
    if (::fstatat(upper.get(), name.c_str(), &above, AT_SYMLINK_NOFOLLOW) != 0)
      continue;  // it has just gone
    bool existed =
        lower.valid() && ::fstatat(lower.get(), name.c_str(), &below, AT_SYMLINK_NOFOLLOW) == 0;
    std::string full = path + "/" + name;
    bool whiteout = S_ISCHR(above.st_mode) && above.st_rdev == 0;
    if (!existed && (whiteout || is_mount_stub(full))) continue;
    auto inner = S_ISDIR(above.st_mode)
                     ? open_file_at(upper, name, O_PATH | O_DIRECTORY | O_NOFOLLOW)
                     : Result<UniqueFd>(UniqueFd());
    if (!inner) continue;
    if (existed && *inner) {
      ASSIGN_OR_RETURN(auto inner_names, names_of(*inner));
      if (holds_only_stubs(inner_names, full, above, below)) continue;
    }
    out.push_back(json::Object{{"Path", full},
                               {"Kind", whiteout  ? kDeleted
                                        : existed ? kModified
                                                  : kAdded}});
    if (!*inner) continue;
    auto beneath = existed && S_ISDIR(below.st_mode)
                       ? open_file_at(lower, name, O_PATH | O_DIRECTORY | O_NOFOLLOW)
                       : Result<UniqueFd>(UniqueFd());
    RETURN_IF_ERROR(list_changes(*inner, beneath ? beneath->borrow() : BorrowedFd(-1), full, out));
  }
  return {};
}

}  // namespace

Result<json::Array> Engine::changes(const std::string& name) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(auto layers, impl.parts.images.layer_paths(container->image));
  ASSIGN_OR_RETURN(auto lower, ImageRoot::open(layers));
  ASSIGN_OR_RETURN(auto upper, open_file(impl.folders.upper(container->id), O_PATH | O_DIRECTORY));
  json::Array out;
  RETURN_IF_ERROR(list_changes(upper, lower.fd(), "", out));
  return out;
}

}  // namespace holdfast
