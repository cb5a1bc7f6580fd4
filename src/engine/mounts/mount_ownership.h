#pragma once

#include <optional>

#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "engine/mounts/mount_point.h"
#include "os/id_map.h"
#include "os/mount.h"
#include "runtime/user_lookup.h"

// Whose the files of a mount are, on the disk and to the container.
namespace holdfast {

// Whose files are whose: the user the container runs as, by its ids, and the namespace these are
// of.
struct Ownership {
  ContainerUser user;
  std::optional<UserNamespace> users;
};

// What a mount's options U and z/Z change at its source, which is open: the owner of all its files,
// to the container's user; their SELinux label, where a policy is enforced. Directories a whole
// system rests on are refused, kInvalidArgument. Repeating changes nothing more.
Status change_source(BorrowedFd source, const MountPoint& mount, const Ownership& ownership,
                     const ContainerId& container);

// Gives `tree`, a clone of `source`, the map of ids that the mount asks for, if any. Without ranges
// of its own the owner of the source and the container's user change places, both ways: what is
// one's on the disk is the other's in the container. (A volume used by root stays as it is: its ids
// are those of containers already.) To a container with a user namespace every volume is mapped, so
// that it has the same ids on the disk whoever uses it. kInvalidArgument naming the file system
// where it can't map ids.
Status map_ids(DetachedMount& tree, BorrowedFd source, const MountPoint& mount,
               const Ownership& ownership);

}  // namespace holdfast
