#pragma once

#include <string>
#include <vector>

#include "engine/container_folders.h"
#include "engine/mounts/bind_policy.h"
#include "engine/mounts/mount_ownership.h"
#include "engine/mounts/mount_point.h"
#include "image/images.h"
#include "os/mount.h"
#include "runtime/oci_spec.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// The mounts of one container made ready: detached mounts that hang nowhere until the runtime moves
// them into the container's private namespace, and the ContainerMounts that borrow them, in the
// order of the plan. `trees` are those of the mounts that have a source. Movable; keep it until
// Runtime::create returned.
struct PreparedMounts {
  std::vector<DetachedMount> trees;
  std::vector<ContainerMount> mounts;
};

// The container that mounts are prepared for.
struct MountContext {
  ContainerId container;
  HolderId holder;  // for which volumes are mounted
  Requester requester;
  BorrowedFd root{-1};       // its root directory, in which targets are looked up
  Ownership ownership;       // whose the files become with U, or appear to be with idmap
  bool changes_disk = true;  // U and z apply: not for those who only look
};

// The one executor: opens the source of every planned mount by descriptor (a bind's path, a
// volume's root or sub-path, an image's layers), judges binds by the policy, clones it into a
// detached mount with its attributes set, and says how it is to be bound. Volumes are mounted for
// the holder; on failure those are released again with Volumes::unmount by the caller's cleanup.
// Errors are Docker's: a vanished bind source is kInvalidArgument `invalid mount config for type
// "bind": bind source path does not exist: /x`.
class MountExecutor {
 public:
  MountExecutor(Volumes& volumes, const image::Images& images, const ContainerFolders& folders,
                BindPolicy policy)
      : volumes_(volumes), images_(images), folders_(folders), policy_(std::move(policy)) {}

  Result<PreparedMounts> prepare(const std::vector<MountPoint>& plan,
                                 const MountContext& context) const;

  // Opens the source of a bind and judges it; a missing one is made where the mount says so.
  Result<UniqueFd> open_bind_source(const MountPoint& mount, const Requester& requester) const;
  // What is checked of it when the container is created: the same, but nothing is made.
  Status check_bind_source(const MountPoint& mount, const Requester& requester) const;

  // Judges what volumes' options name of the host for whoever asks.
  HostPathJudge judge_for(const Requester& requester) const { return policy_.judge_for(requester); }

 private:
  Result<ContainerMount> prepare_one(const MountPoint& mount, const MountContext& context,
                                     PreparedMounts& prepared) const;
  Result<UniqueFd> open_volume_source(const MountPoint& mount, const MountContext& context) const;
  Result<DetachedMount> clone_image(const MountPoint& mount, const MountContext& context) const;
  Result<DetachedMount> clone_source(const MountPoint& mount, const MountContext& context,
                                     std::size_t number) const;
  Result<DetachedMount> overlay(const MountPoint& mount, BorrowedFd source,
                                const MountContext& context, std::size_t number) const;

  Volumes& volumes_;
  const image::Images& images_;
  const ContainerFolders& folders_;
  const BindPolicy policy_;
};

}  // namespace holdfast
