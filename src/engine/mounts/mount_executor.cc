#include "engine/mounts/mount_executor.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "engine/container_folders.h"
#include "os/safe_path.h"

namespace holdfast {
namespace {

tl::unexpected<Error> source_missing(const MountPoint& mount) {
  return fail(Code::kInvalidArgument,
              "invalid mount config for type \"bind\": bind source path does not exist: {}",
              mount.source);
}

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

// Read-only reaches the mounts beneath, except where only the top was asked for.
Status set_attributes(DetachedMount& tree, const MountPoint& mount) {
  MountAttributes attributes;
  if (mount.no_exec) attributes.no_exec = true;
  if (mount.no_suid) attributes.no_suid = true;
  if (mount.no_dev) attributes.no_dev = true;
  attributes.recursive = true;
  RETURN_IF_ERROR(tree.set(attributes));
  if (!mount.read_only) return {};
  MountAttributes read_only;
  read_only.read_only = true;
  read_only.recursive = mount.reach != ReadOnlyReach::kTopOnly;
  auto status = tree.set(read_only);
  if (status || mount.reach == ReadOnlyReach::kForced || !read_only.recursive) return status;
  read_only.recursive = false;
  return tree.set(read_only);
}

std::vector<std::string> split_options(const std::string& text) {
  std::vector<std::string> options;
  std::size_t begin = 0;
  while (begin < text.size()) {
    auto end = std::min(text.find(',', begin), text.size());
    if (end > begin) options.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return options;
}

// tmpfs as Docker mounts it: noexec, nosuid and nodev unless the options say otherwise.
ContainerMount tmpfs_mount(const MountPoint& mount) {
  ContainerMount result;
  result.target = mount.target;
  result.type = "tmpfs";
  result.source = "tmpfs";
  result.options = {"noexec", "nosuid", "nodev"};
  for (auto& option : split_options(mount.tmpfs_options)) {
    for (const char* base : {"exec", "suid", "dev"}) {
      if (option == base) std::erase(result.options, "no" + option);
    }
    result.options.push_back(std::move(option));
  }
  return result;
}

}  // namespace

Status MountExecutor::check_bind_source(const MountPoint& mount) {
  struct stat status = {};
  if (mount.create_source || ::stat(mount.source.c_str(), &status) == 0) return {};
  if (errno == ENOENT || errno == ENOTDIR) return source_missing(mount);
  return fail_errno("invalid mount config for type \"bind\": stat {}", mount.source);
}

Status MountExecutor::make_bind_source(const MountPoint& mount) {
  struct stat status = {};
  if (!mount.create_source || ::stat(mount.source.c_str(), &status) == 0) return {};
  auto made = make_directories(mount.source, 0755);
  if (made) return {};
  return tl::unexpected(std::move(made).error().wrap(
      fmt::format("error while creating mount source path '{}'", mount.source)));
}

Result<DetachedMount> MountExecutor::clone_bind(const MountPoint& mount) const {
  RETURN_IF_ERROR(make_bind_source(mount));
  // Symlinks of the host's path are the administrator's own and followed, here and only once: what
  // is opened is mounted.
  auto source = open_file(mount.source, O_PATH);
  if (!source && (source.error().sys_errno == ENOENT || source.error().sys_errno == ENOTDIR))
    return source_missing(mount);
  if (!source)
    return tl::unexpected(std::move(source).error().wrap("invalid mount config for type \"bind\""));
  return DetachedMount::clone(*source, "", mount.recursive);
}

Result<DetachedMount> MountExecutor::clone_volume(const MountPoint& mount,
                                                  const HolderId& holder) const {
  ASSIGN_OR_RETURN(auto mounted, volumes_.mount(VolumeName(mount.source), holder));
  if (mount.subpath.empty()) return DetachedMount::clone(mounted.root, "", true);
  ASSIGN_OR_RETURN(auto fd, open_subpath(mounted.root, mount));
  return DetachedMount::clone(fd, "", true);
}

Result<DetachedMount> MountExecutor::clone_image(const MountPoint& mount) const {
  ASSIGN_OR_RETURN(auto id, images_.resolve(mount.source));
  ASSIGN_OR_RETURN(auto layers, images_.layer_paths(id));
  ASSIGN_OR_RETURN(auto root, ImageRoot::open(layers));
  if (mount.subpath.empty()) return std::move(root).take();
  // A piece of an overlay cannot be cloned from a mount that hangs nowhere; with a single layer it
  // is a directory of the host.
  if (layers.size() > 1) {
    return fail(Code::kNotImplemented,
                "image-subpath of an image with several layers is not supported");
  }
  ASSIGN_OR_RETURN(auto fd, open_subpath(root.fd(), mount));
  return DetachedMount::clone(fd, "", false);
}

Result<DetachedMount> MountExecutor::clone_source(const MountPoint& mount,
                                                  const HolderId& holder) const {
  switch (mount.type) {
    case MountType::kBind:
      return clone_bind(mount);
    case MountType::kVolume:
      return clone_volume(mount, holder);
    case MountType::kImage:
      return clone_image(mount);
    case MountType::kTmpfs:
      break;
  }
  return fail(Code::kInternal, "mount type {} has no source", to_string(mount.type));
}

Result<PreparedMounts> MountExecutor::prepare(const std::vector<MountPoint>& plan,
                                              const HolderId& holder) const {
  PreparedMounts prepared;
  prepared.trees.reserve(plan.size());  // the mounts borrow their descriptors, which must not move
  for (const auto& mount : plan) {
    if (mount.type == MountType::kTmpfs) {
      prepared.mounts.push_back(tmpfs_mount(mount));
      continue;
    }
    ASSIGN_OR_RETURN(auto tree, clone_source(mount, holder));
    RETURN_IF_ERROR(set_attributes(tree, mount));
    prepared.trees.push_back(std::move(tree));
    ContainerMount entry;
    entry.target = mount.target;
    entry.source = mount.source;  // for the words of a failure
    entry.options = {mount.propagation.empty() ? "rprivate" : mount.propagation};
    entry.tree = prepared.trees.back().root();
    prepared.mounts.push_back(std::move(entry));
  }
  return prepared;
}

}  // namespace holdfast
