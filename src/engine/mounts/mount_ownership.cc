#include "engine/mounts/mount_ownership.h"

#include <sys/stat.h>

#include <algorithm>

#include "engine/mounts/mount_plan.h"
#include "engine/mounts/protected_paths.h"
#include "engine/mounts/selinux.h"
#include "os/id_map.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"
#include "storage/copy/tree_chown.h"

namespace holdfast {
namespace {

// Ids of the container as the host has them.
std::uint32_t on_host(const std::vector<IdRange>* ranges, std::uint32_t id) {
  return ranges ? map_id(*ranges, id) : id;
}

// `first`, and what comes out of that by `second`; ids that `second` doesn't know are left out.
std::vector<IdRange> then(const std::vector<IdRange>& first, const std::vector<IdRange>& second) {
  std::vector<IdRange> result;
  for (const auto& one : first) {
    for (const auto& other : second) {
      std::uint64_t begin = std::max(one.outside, other.inside);
      std::uint64_t end = std::min(std::uint64_t{one.outside} + one.count,
                                   std::uint64_t{other.inside} + other.count);
      if (begin >= end) continue;
      result.push_back({one.inside + static_cast<std::uint32_t>(begin - one.outside),
                        other.outside + static_cast<std::uint32_t>(begin - other.inside),
                        static_cast<std::uint32_t>(end - begin)});
    }
  }
  return result;
}

IdMap then(const IdMap& first, const IdMap& second) {
  return {then(first.uids, second.uids), then(first.gids, second.gids)};
}

// The owner of the source and the container's user in each other's place; nullopt where they are
// one, or it would mean nothing.
Result<std::optional<IdMap>> owner_swap(BorrowedFd source, const MountPoint& mount,
                                        const ContainerUser& user) {
  if (mount.type == MountType::kVolume && user.uid == 0) return std::nullopt;
  struct stat owner = {};
  if (::fstat(source.get(), &owner) != 0) return fail_errno("stat \"{}\"", mount.source);
  if (owner.st_uid == user.uid && owner.st_gid == user.gid) return std::nullopt;
  return IdMap{swap_ids(owner.st_uid, user.uid), swap_ids(owner.st_gid, user.gid)};
}

// nullopt: the mount stays as it is.
Result<std::optional<IdMap>> map_wanted(BorrowedFd source, const MountPoint& mount,
                                        const Ownership& ownership) {
  const auto& users = ownership.users;
  if (!mount.id_map) {
    if (users && mount.type == MountType::kVolume) return users->ids;
    return std::nullopt;
  }
  if (!mount.id_map->swaps_owner()) {
    if (!mount.id_map->relative || !users) return mount.id_map->map;
    return then(mount.id_map->map, users->ids);
  }
  ASSIGN_OR_RETURN(auto swap, owner_swap(source, mount, ownership.user));
  if (!users) return swap;
  return swap ? then(*swap, users->ids) : users->ids;
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

Status change_source(BorrowedFd source, const MountPoint& mount, const Ownership& ownership,
                     const ContainerId& container) {
  bool relabels = mount.relabel != Relabel::kNone && selinux_enforced();
  if (!mount.change_owner && !relabels) return {};
  RETURN_IF_ERROR(refuse_system_directory(source, mount));
  if (mount.change_owner) {
    // A volume is mapped: on the disk it has the container's own ids.
    bool mapped = mount.type == MountType::kVolume || !ownership.users;
    const auto& [user, users] = ownership;
    auto changed = chown_tree(source, on_host(mapped ? nullptr : &users->ids.uids, user.uid),
                              on_host(mapped ? nullptr : &users->ids.gids, user.gid));
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
               const Ownership& ownership) {
  ASSIGN_OR_RETURN(auto map, map_wanted(source, mount, ownership));
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
                  "(idmap): {}",
                  mount.source, entry ? entry->type : "unknown",
                  mount.id_map ? "the option \"U\" changes the owner on the disk instead"
                               : "only a container without a user namespace (--userns=host) can "
                                 "have it"));
}

}  // namespace holdfast
