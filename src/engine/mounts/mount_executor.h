#pragma once

#include <string>
#include <vector>

#include "engine/mounts/mount_plan.h"
#include "image/images.h"
#include "os/mount.h"
#include "runtime/oci_spec.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// The mounts of one container made ready: detached mounts that hang nowhere until the runtime moves
// them into the container's private namespace, and the ContainerMounts that borrow them. Movable;
// keep it until Runtime::create returned.
struct PreparedMounts {
  std::vector<DetachedMount> trees;
  std::vector<ContainerMount> mounts;
};

// The one executor: opens the source of every planned mount by descriptor (a bind's path, a
// volume's root or sub-path, an image's layers), clones it into a detached mount with its
// attributes set, and says how it is to be bound. Volumes are mounted for `holder`; on failure
// those are released again with Volumes::unmount by the caller's cleanup. Errors are Docker's: a
// vanished bind source is kInvalidArgument `invalid mount config for type "bind": bind source path
// does not exist: /x`.
class MountExecutor {
 public:
  MountExecutor(Volumes& volumes, const image::Images& images)
      : volumes_(volumes), images_(images) {}

  Result<PreparedMounts> prepare(const std::vector<MountPoint>& plan, const HolderId& holder) const;

  // What is checked, or made, when the container is created: a bind source that must exist, or is
  // made where -v asks for it.
  static Status check_bind_source(const MountPoint& mount);
  static Status make_bind_source(const MountPoint& mount);

 private:
  Result<DetachedMount> clone_bind(const MountPoint& mount) const;
  Result<DetachedMount> clone_volume(const MountPoint& mount, const HolderId& holder) const;
  Result<DetachedMount> clone_image(const MountPoint& mount) const;
  Result<DetachedMount> clone_source(const MountPoint& mount, const HolderId& holder) const;

  Volumes& volumes_;
  const image::Images& images_;
};

}  // namespace holdfast
