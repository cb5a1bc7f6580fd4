#pragma once

#include "storage/driver/local/foreign_mount.h"
#include "storage/driver/local/sized_volumes.h"
#include "storage/driver/volume_driver.h"
#include "storage/volume/layout.h"

namespace holdfast {

// Volumes that are directories of the data root, or any file system mounted there by the options
// type, o and device: on the first mount, and off after the last. Holds no state of its own: the
// kernel's mount table says what is mounted, so that it is right after a restart.
class LocalDriver : public VolumeDriver {
 public:
  explicit LocalDriver(const VolumeDirectories& directories, const MountDeadlines& deadlines = {})
      : directories_(directories), foreign_(deadlines), sized_(directories, deadlines) {}

  Status check(const Volume& volume, const HostPathJudge& judge) override;
  Status create(const Volume& volume, BorrowedFd directory) override;
  bool remakes(const Volume& volume) const override { return !is_sized(volume); }
  Status remove(const Volume& volume, BorrowedFd directory) override;
  Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                         const HostPathJudge& judge) override;
  Status unmount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                 bool last) override;
  // What is mounted is known to the kernel; nothing is asked of it.
  Status remount(const Volume&, BorrowedFd, const HolderId&) override { return {}; }
  // Only `o` changes, and only while the volume is not mounted.
  Status update(const Volume& from, const Volume& to, BorrowedFd directory, bool mounted) override;
  json::Object status(const Volume& volume, BorrowedFd directory) override;
  Use use(const Volume& volume, BorrowedFd directory) override;
  bool is_directory(const Volume& volume) const override;
  std::string mountpoint(const Volume& volume, BorrowedFd directory) const override;
  Result<VolumeSight> look(const Volume& volume) override;

 private:
  const VolumeDirectories& directories_;
  static bool is_sized(const Volume& volume);
  Status unmount_all(const Volume& volume, BorrowedFd directory);

  ForeignMounts foreign_;
  SizedVolumes sized_;
};

}  // namespace holdfast
