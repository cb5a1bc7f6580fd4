#pragma once

#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "storage/volume/volume.h"

namespace holdfast {

// What provides the files of volumes: directories of ours, other file systems, plugins. Owned by
// Volumes, which calls it for one volume at a time and holds no lock meanwhile; calls for different
// volumes come from many threads.
class VolumeDriver {
 public:
  virtual ~VolumeDriver() = default;

  // Whether `volume` may be made with its options: kInvalidArgument in Docker's words. Makes
  // nothing.
  virtual Status check(const Volume& volume) = 0;

  // Makes what the volume needs. `directory` is its own, still in staging; a failure or crash
  // throws it away.
  virtual Status create(const Volume& volume, BorrowedFd directory) = 0;

  // Gives back what the volume has outside `directory`, its own, which is about to go to the trash.
  // Repeatable.
  virtual Status remove(const Volume& volume, BorrowedFd directory) = 0;

  // Makes its files reachable and opens their root (O_PATH). Repeating is success and mounts
  // nothing twice, also after a restart of the daemon.
  virtual Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory,
                                 const HolderId& holder) = 0;

  // `holder` needs them no more; `last`: nor does anyone else.
  virtual Status unmount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                         bool last) = 0;

  // Makes the options of `to` hold for the volume that has those of `from`; both have one id.
  // `mounted`: somebody uses it now. kInvalidArgument names an option that never changes,
  // kConflict one that doesn't while it is mounted. After a failure or crash one of both holds, and
  // repeating is safe.
  virtual Status update(const Volume& from, const Volume& to, BorrowedFd directory,
                        bool mounted) = 0;

  // What inspect shows beyond the record: limit, use, backing, the mounted file system. Empty where
  // there is nothing to say. Never waits for a file system that does not answer.
  virtual json::Object status(const Volume& volume, BorrowedFd directory) = 0;

  // Whether the volume is the directory _data itself, which a filled one may replace by rename.
  virtual bool is_directory(const Volume& volume) const = 0;
};

}  // namespace holdfast
