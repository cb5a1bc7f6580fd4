#pragma once

#include <optional>

#include "base/json.h"
#include "os/project_quota.h"
#include "storage/driver/local/image_backing.h"
#include "storage/driver/local/mount_deadlines.h"
#include "storage/driver/local/project_backing.h"
#include "storage/driver/local/subvolume_backing.h"
#include "storage/volume/layout.h"
#include "storage/volume/volume.h"

namespace holdfast {

// Volumes of the local driver with the option `size`. New ones get what the data root can do, found
// out by trying: a quota group of btrfs, a project quota, else an image file. One whose directory
// has none of these, since it was copied here by tools that know only files, or had no limit
// before, gets one on its first use. Owned by LocalDriver; thread-safe.
class SizedVolumes {
 public:
  SizedVolumes(const VolumeDirectories& directories, const MountDeadlines& deadlines)
      : directories_(directories), image_(deadlines) {}

  Status create(const Volume& volume, BorrowedFd directory);
  Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory);
  Status unmount(const Volume& volume, BorrowedFd directory);

  // Brings the size of `volume`, whose record may have another, into force. kConflict says why it
  // can't be: less than what is used, or more than a mounted image can grow to.
  Status resize(const Volume& volume, BorrowedFd directory, bool mounted);

  json::Object status(const Volume& volume, BorrowedFd directory);
  std::optional<std::uint64_t> used(const Volume& volume, BorrowedFd directory);

 private:
  Result<SizedVolume> sized(const Volume& volume, BorrowedFd directory) const;
  Result<SizeBacking*> backing_of(const SizedVolume& volume);
  SizeBacking& backing_for(BorrowedFd directory);
  Status adopt(const SizedVolume& volume);

  const VolumeDirectories& directories_;
  ProjectQuota quota_;
  SubvolumeBacking subvolume_;
  ProjectBacking project_{quota_};
  ImageBacking image_;
};

}  // namespace holdfast
