#include "engine/mounts/mount_executor.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "engine/mounts/mount_ownership.h"
#include "engine/mounts/mount_plan.h"
#include "engine/mounts/mount_target.h"
#include "engine/mounts/protected_paths.h"
#include "os/mountinfo.h"
#include "os/private_namespace.h"
#include "os/safe_path.h"
#include "storage/copy/tree_copy.h"

namespace holdfast {
namespace {

// A sub-path is resolved beneath the volume: a symlink that leads out of it is an error, whoever
// exchanges it when.
Result<UniqueFd> open_subpath(BorrowedFd root, const MountPoint& mount) {
  auto fd = open_confined(root, mount.subpath, Confine::kBeneath, O_PATH);
  if (fd) return fd;
  if (fd.error().code == Code::kNotFound) {
    return fail(Code::kNotFound,
                "cannot access path \"{}\" in {} \"{}\": no such file or directory", mount.subpath,
                to_string(mount.type), mount.source);
  }
  return fail(Code::kInvalidArgument, "path \"{}\" in {} \"{}\" leads out of it", mount.subpath,
              to_string(mount.type), mount.source);
}

// A mount can only give on what it gets: Docker's words for a source that shares nothing.
Status check_propagation(BorrowedFd source, const MountPoint& mount) {
  bool shared = mount.propagation.ends_with("shared");
  bool slave = mount.propagation.ends_with("slave");
  if (!shared && !slave) return {};
  ASSIGN_OR_RETURN(auto entry, mount_of(source));
  if (entry.peer_group != 0 || (slave && entry.master != 0)) return {};
  return fail(Code::kInvalidArgument, "path {} is mounted on {} but it is not a shared{} mount",
              mount.source, entry.target, slave ? " or slave" : "");
}

// Read-only reaches the mounts beneath, except where only the top was asked for.
Status set_read_only(DetachedMount& tree, const MountPoint& mount) {
  MountAttributes read_only;
  read_only.read_only = true;
  read_only.recursive = mount.reach != ReadOnlyReach::kTopOnly;
  auto status = tree.set(read_only);
  if (status || mount.reach == ReadOnlyReach::kForced || !read_only.recursive) return status;
  read_only.recursive = false;
  return tree.set(read_only);
}

Status set_attributes(DetachedMount& tree, const MountPoint& mount) {
  MountAttributes attributes;
  attributes.no_exec = mount.no_exec;
  attributes.no_suid = mount.no_suid;
  attributes.no_dev = mount.no_dev;
  attributes.recursive = true;
  RETURN_IF_ERROR(tree.set(attributes));
  return mount.read_only ? set_read_only(tree, mount) : Status{};
}

bool has_key(const std::vector<std::string>& options, std::string_view key) {
  return std::any_of(options.begin(), options.end(), [&](const std::string& option) {
    return option.starts_with(key) && option.substr(key.size()).starts_with('=');
  });
}

// A file system of the container's own. Noexec, nosuid and nodev unless the options say otherwise,
// as Docker mounts a tmpfs.
ContainerMount made_mount(const MountPoint& mount, const MountContext& context) {
  ContainerMount result;
  result.target = mount.target;
  result.type = to_string(mount.type);
  result.source = result.type;
  if (mount.type == MountType::kDevpts)
    result.options = {"nosuid", "noexec", "newinstance"};
  else
    result.options = {"noexec", "nosuid", "nodev"};
  for (const auto& option : mount.options) {
    for (const char* base : {"exec", "suid", "dev"}) {
      if (option == base) std::erase(result.options, "no" + option);
    }
    result.options.push_back(option);
  }
  if (mount.type == MountType::kDevpts && !has_key(mount.options, "ptmxmode"))
    result.options.emplace_back("ptmxmode=0666");
  if (mount.type == MountType::kTmpfs && mount.change_owner) {
    if (!has_key(mount.options, "uid"))
      result.options.push_back(fmt::format("uid={}", context.ownership.user.uid));
    if (!has_key(mount.options, "gid"))
      result.options.push_back(fmt::format("gid={}", context.ownership.user.gid));
  }
  return result;
}

}  // namespace

// --- sources ---

Result<UniqueFd> MountExecutor::open_bind_source(const MountPoint& mount,
                                                 const Requester& requester) const {
  auto source = policy_.open(mount.source, mount.create_source, requester);
  if (source) return source;
  if (source.error().code == Code::kNotFound || source.error().code == Code::kPermissionDenied)
    return tl::unexpected(Error{
        source.error().code == Code::kNotFound ? Code::kInvalidArgument : Code::kPermissionDenied,
        0, fmt::format("invalid mount config for type \"bind\": {}", source.error().message)});
  return source;
}

Status MountExecutor::check_bind_source(const MountPoint& mount, const Requester& requester) const {
  MountPoint looked_at = mount;
  looked_at.create_source = false;
  auto source = open_bind_source(looked_at, requester);
  if (source) return {};
  // Made at the start, where the policy is asked again.
  bool missing = source.error().code == Code::kInvalidArgument;
  if (mount.create_source && missing) return {};
  return tl::unexpected(std::move(source).error());
}

Result<UniqueFd> MountExecutor::open_volume_source(const MountPoint& mount,
                                                   const MountContext& context) const {
  ASSIGN_OR_RETURN(auto mounted, volumes_.mount(VolumeName(mount.source), context.holder,
                                                judge_for(context.requester)));
  if (mount.subpath.empty()) return std::move(mounted.root);
  return open_subpath(mounted.root, mount);
}

Result<DetachedMount> MountExecutor::clone_image(const MountPoint& mount,
                                                 const MountContext& context) const {
  ASSIGN_OR_RETURN(auto id, images_.resolve(mount.source));
  ASSIGN_OR_RETURN(auto layers, images_.layer_paths(id));
  ASSIGN_OR_RETURN(auto root, ImageRoot::open(layers, context.ownership.users));
  if (mount.subpath.empty()) return std::move(root).take();
  ASSIGN_OR_RETURN(auto tree, std::move(root).take());
  // Only of what hangs in a tree can a piece be cloned: this one hangs for a moment, where nobody
  // else sees it.
  Result<DetachedMount> piece = fail(Code::kInternal, "image mount");
  RETURN_IF_ERROR(run_in_private_mount_namespace([&]() -> Status {
    ASSIGN_OR_RETURN(auto place, open_file("/", O_PATH | O_DIRECTORY));
    ASSIGN_OR_RETURN(auto guard, std::move(tree).attach(place, "", "/"));
    ASSIGN_OR_RETURN(auto fd, open_subpath(guard.root(), mount));
    piece = DetachedMount::clone(fd, "", false);
    return {};
  }));
  return piece;
}

Result<DetachedMount> MountExecutor::overlay(const MountPoint& mount, BorrowedFd source,
                                             const MountContext& context,
                                             std::size_t number) const {
  UniqueFd upper, work;
  if (mount.overlay->upper.empty()) {
    ASSIGN_OR_RETURN(auto place, folders_.make_overlay(context.container, number));
    upper = std::move(place.upper);
    work = std::move(place.work);
    RETURN_IF_ERROR(copy_attributes(source, upper));  // the overlay's root is the upper one
  } else {
    MountPoint kept;
    kept.type = MountType::kBind;
    kept.source = mount.overlay->upper;
    ASSIGN_OR_RETURN(upper, open_bind_source(kept, context.requester));
    kept.source = mount.overlay->work;
    ASSIGN_OR_RETURN(work, open_bind_source(kept, context.requester));
  }
  OverlayParts parts;
  parts.lower = {source};
  parts.upper = upper;
  parts.work = work;
  auto mounted = mount_overlay(parts);
  if (mounted) return mounted;
  return tl::unexpected(
      std::move(mounted).error().wrap(fmt::format("overlay of \"{}\" (O)", mount.source)));
}

Result<DetachedMount> MountExecutor::clone_source(const MountPoint& mount,
                                                  const MountContext& context,
                                                  std::size_t number) const {
  if (mount.type == MountType::kImage) return clone_image(mount, context);
  bool bind = mount.type == MountType::kBind;
  auto opened =
      bind ? open_bind_source(mount, context.requester) : open_volume_source(mount, context);
  ASSIGN_OR_RETURN(auto source, std::move(opened));
  if (bind && mount.target == "/proc") {
    if (auto proc = check_proc_source(source); !proc)
      return invalid_mount_config("bind", proc.error().message);
  }
  RETURN_IF_ERROR(check_propagation(source, mount));
  if (context.changes_disk)
    RETURN_IF_ERROR(change_source(source, mount, context.ownership, context.container));
  if (mount.overlay) return overlay(mount, source, context, number);
  ASSIGN_OR_RETURN(auto tree, DetachedMount::clone(source, "", mount.recursive));
  RETURN_IF_ERROR(map_ids(tree, source, mount, context.ownership));
  return tree;
}

// --- all of them ---

Result<ContainerMount> MountExecutor::prepare_one(const MountPoint& mount,
                                                  const MountContext& context,
                                                  PreparedMounts& prepared) const {
  ASSIGN_OR_RETURN(auto target, find_mount_target(mount, context.root, prepared.mounts));
  MountPoint placed = mount;
  placed.target = target;
  if (!mount.has_source()) return made_mount(placed, context);
  ASSIGN_OR_RETURN(auto tree, clone_source(placed, context, prepared.mounts.size()));
  RETURN_IF_ERROR(set_attributes(tree, mount));
  prepared.trees.push_back(std::move(tree));
  ContainerMount entry;
  entry.target = target;
  entry.source = mount.source;  // for the words of a failure
  entry.options = {mount.propagation.empty() ? "rprivate" : mount.propagation};
  entry.tree = prepared.trees.back().root();
  return entry;
}

Result<PreparedMounts> MountExecutor::prepare(const std::vector<MountPoint>& plan,
                                              const MountContext& context) const {
  PreparedMounts prepared;
  prepared.trees.reserve(plan.size());  // the mounts borrow their descriptors, which must not move
  for (const auto& mount : plan) {
    ASSIGN_OR_RETURN(auto entry, prepare_one(mount, context, prepared));
    prepared.mounts.push_back(std::move(entry));
  }
  return prepared;
}

}  // namespace holdfast
