#pragma once

#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "engine/mounts/mount_point.h"
#include "os/mount.h"
#include "runtime/user_lookup.h"

// Whose the files of a mount are, on the disk and to the container.
namespace holdfast {

// What a mount's options U and z/Z change at its source, which is open: the owner of all its files,
// to the container's user; their SELinux label, where a policy is enforced. Directories a whole
// system rests on are refused, kInvalidArgument. Repeating changes nothing more.
Status change_source(BorrowedFd source, const MountPoint& mount, const ContainerUser& user,
                     const ContainerId& container);

// Gives `tree`, a clone of `source`, the map of ids that the mount asks for. Without ranges of its
// own the owner of the source and the container's user change places, both ways: what is one's on
// the disk is the other's in the container. (A volume used by root stays as it is: its ids are
// those of containers already.) kInvalidArgument naming the file system where it can't map ids.
Status map_ids(DetachedMount& tree, BorrowedFd source, const MountPoint& mount,
               const ContainerUser& user);

}  // namespace holdfast
