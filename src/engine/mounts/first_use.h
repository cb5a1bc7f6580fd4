#pragma once

#include <string>
#include <vector>

#include "engine/container_folders.h"
#include "engine/mounts/mount_executor.h"
#include "state/store.h"

namespace holdfast {

// Fills what a new container's mounts show, where it is empty, from the image: each volume, unless
// nocopy was asked for, and each bind with the option copy. A target that is no directory in the
// image, or isn't there, leaves the source as it is.
class FirstUse {
 public:
  FirstUse(Volumes& volumes, Store& store, const MountExecutor& executor)
      : volumes_(volumes), store_(store), executor_(executor) {}

  // `image` is the image alone, in which targets are looked up. Each source is filled whole or not
  // at all, durably. Returns warnings for the user.
  Result<std::vector<std::string>> fill(const std::vector<MountPoint>& mounts,
                                        const ImageRoot& image, const Requester& requester);

 private:
  // What the file system refused.
  Result<CopyRefusals> fill_volume(const MountPoint& mount, BorrowedFd content,
                                   const Requester& requester);
  Result<CopyRefusals> fill_bind(const MountPoint& mount, BorrowedFd content,
                                 const Requester& requester);

  Volumes& volumes_;
  Store& store_;
  const MountExecutor& executor_;
};

}  // namespace holdfast
