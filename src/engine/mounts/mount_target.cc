#include "engine/mounts/mount_target.h"

#include "engine/mounts/mount_plan.h"
#include "engine/mounts/protected_paths.h"
#include "os/safe_path.h"

namespace holdfast {

Result<std::string> find_mount_target(const MountPoint& mount, BorrowedFd root,
                                      const std::vector<ContainerMount>& before) {
  std::vector<HungTree> hung;
  for (const auto& other : before) hung.push_back({other.target, other.tree});
  auto resolved = resolve_in_root(root, mount.target, hung);
  if (!resolved)
    return tl::unexpected(
        std::move(resolved).error().wrap(fmt::format("mount target \"{}\"", mount.target)));
  if (*resolved == "/")
    return invalid_mount_config(to_string(mount.type),
                                "invalid specification: destination can't be '/'");
  MountPoint found;
  found.type = mount.type;
  found.anonymous = mount.anonymous;
  found.target = *resolved;
  auto allowed = check_found_target(found, mount.target);
  if (!allowed) return invalid_mount_config(to_string(mount.type), allowed.error().message);
  return resolved;
}

}  // namespace holdfast
