#include "engine/mounts/mount_ownership.h"

#include <sys/stat.h>

#include "engine/mounts/mount_plan.h"
#include "engine/mounts/protected_paths.h"
#include "engine/mounts/selinux.h"
#include "os/id_map.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"
#include "storage/copy/tree_chown.h"

namespace holdfast {
namespace {

// nullopt: the mount stays as it is.
Result<std::optional<IdMap>> map_wanted(BorrowedFd source, const MountPoint& mount,
                                        const ContainerUser& user) {
  if (!mount.id_map->swaps_owner()) return mount.id_map->map;
  if (mount.type == MountType::kVolume && user.uid == 0) return std::nullopt;
  struct stat owner = {};
  if (::fstat(source.get(), &owner) != 0) return fail_errno("stat \"{}\"", mount.source);
  if (owner.st_uid == user.uid && owner.st_gid == user.gid) return std::nullopt;
  return IdMap{swap_ids(owner.st_uid, user.uid), swap_ids(owner.st_gid, user.gid)};
}

Status refuse_system_directory(BorrowedFd source, const MountPoint& mount) {
  ASSIGN_OR_RETURN(auto path, path_of(source));
  if (!is_system_directory(path)) return {};
  if (mount.change_owner)
    return invalid_mount_config(
        to_string(mount.type),
        fmt::format("option \"U\" would change the owner of all of \"{}\"", path));
  return fail(Code::kInvalidArgument, "SELinux relabeling of {} is not allowed", path);
}

}  // namespace

Status change_source(BorrowedFd source, const MountPoint& mount, const ContainerUser& user,
                     const ContainerId& container) {
  bool relabels = mount.relabel != Relabel::kNone && selinux_enforced();
  if (!mount.change_owner && !relabels) return {};
  RETURN_IF_ERROR(refuse_system_directory(source, mount));
  if (mount.change_owner) {
    auto changed = chown_tree(source, user.uid, user.gid);
    if (!changed)
      return tl::unexpected(std::move(changed).error().wrap(
          fmt::format("option \"U\" of the mount of \"{}\"", mount.source)));
  }
  if (!relabels) return {};
  bool shared = mount.relabel == Relabel::kShared;
  auto status = relabel_tree(source, container_file_label(shared ? "" : container.str()));
  if (status) return {};
  return tl::unexpected(std::move(status).error().wrap(
      fmt::format("error setting label on mount source '{}'", mount.source)));
}

Status map_ids(DetachedMount& tree, BorrowedFd source, const MountPoint& mount,
               const ContainerUser& user) {
  ASSIGN_OR_RETURN(auto map, map_wanted(source, mount, user));
  if (!map) return {};
  ASSIGN_OR_RETURN(auto user_namespace, make_user_namespace(*map));
  MountAttributes attributes;
  attributes.id_map_namespace = user_namespace;
  attributes.recursive = mount.recursive;
  auto status = tree.set(attributes);
  if (status || status.error().code != Code::kNotImplemented) return status;
  auto entry = mount_of(source);
  return invalid_mount_config(
      to_string(mount.type),
      fmt::format("\"{}\" or a mount below it lies on a file system ({}) that can't map ids "
                  "(idmap): the option \"U\" changes the owner on the disk instead",
                  mount.source, entry ? entry->type : "unknown"));
}

}  // namespace holdfast
