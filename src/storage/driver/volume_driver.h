#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "storage/driver/host_path_judge.h"
#include "storage/volume/volume.h"

namespace holdfast {

// What a driver itself says of a volume.
struct VolumeSight {
  bool gone = false;       // the driver has no such volume: it was removed behind our back
  std::string mountpoint;  // empty: unknown
  std::string scope = "local";
  json::Object status;  // the driver's own words, shown as Status
};

// What provides the files of volumes: directories of ours, other file systems, plugins. Owned by
// Volumes, which calls it for one volume at a time and holds no lock meanwhile; calls for different
// volumes come from many threads.
class VolumeDriver {
 public:
  virtual ~VolumeDriver() = default;

  // Whether `volume` may be made with its options: kInvalidArgument in Docker's words. Paths of the
  // host among them are judged. Makes nothing.
  virtual Status check(const Volume& volume, const HostPathJudge& judge) = 0;

  // Whether whoever keeps the volumes has one of that name already, which is then taken as it is:
  // nothing is created.
  virtual Result<bool> has(const Volume& volume) {
    static_cast<void>(volume);
    return false;
  }

  // Makes what the volume needs. `directory` is its own, which nobody knows of yet; a failure or
  // crash throws it away.
  virtual Status create(const Volume& volume, BorrowedFd directory) = 0;

  // Whether create() makes it from the record alone, quickly, and with nothing in it: should a
  // power cut take it before anybody used it, create() is called again, on whatever is left.
  virtual bool remakes(const Volume& volume) const {
    static_cast<void>(volume);
    return false;
  }

  // Gives back what the volume has outside `directory`, its own, which is about to go to the trash.
  // Repeatable.
  virtual Status remove(const Volume& volume, BorrowedFd directory) = 0;

  // Makes its files reachable and opens their root (O_PATH). Repeating is success and mounts
  // nothing twice, also after a restart of the daemon. What its options name of the host is judged
  // each time, be it mounted already or not.
  virtual Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                                 const HostPathJudge& judge) = 0;

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

  // What the volume's files take up, as far as the driver knows without reading them all; as
  // status(), it never waits. kByFiles: whoever asks may count the files of _data.
  enum class Measure { kByFiles, kKnown, kUnknown };
  struct Use {
    Measure measure = Measure::kUnknown;
    std::uint64_t bytes = 0;
  };
  virtual Use use(const Volume& volume, BorrowedFd) {
    return {is_directory(volume) ? Measure::kByFiles : Measure::kUnknown};
  }

  // Whether the volume is the directory _data itself, which a filled one may replace by rename.
  virtual bool is_directory(const Volume& volume) const = 0;

  // Whether somebody else keeps the volumes, whose answers may take long or never come.
  virtual bool is_remote() const { return false; }

  // `holder` has had it mounted since before the daemon started; a later unmount() counts on it.
  // Waits for nobody.
  virtual Status remount(const Volume& volume, BorrowedFd directory, const HolderId& holder) {
    return mount(volume, directory, holder, {}).map([](const UniqueFd&) {});
  }

  // Tells whoever keeps the volume of holders that have left without its hearing of it: those that
  // are not in `mounters`. False: something is left that can't be told yet; an error: it doesn't
  // answer.
  virtual Result<bool> settle(const Volume& volume, BorrowedFd directory,
                              const std::set<HolderId>& mounters) {
    static_cast<void>(volume), static_cast<void>(directory), static_cast<void>(mounters);
    return true;
  }

  // The host path of its files as far as that is known without asking anybody; empty: it isn't.
  virtual std::string mountpoint(const Volume& volume, BorrowedFd directory) const = 0;

  // Asks whoever keeps it. An error: nobody knows.
  virtual Result<VolumeSight> look(const Volume& volume) = 0;
};

}  // namespace holdfast
