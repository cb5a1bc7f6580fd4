#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "storage/volume/volume.h"

namespace holdfast {

// Where volumes lie under the data root; only this header spells the names.
//
//   volumes/<name>/            the volume: there if and only if this directory is, or its row is
//                              marked fresh (creation.cc)
//     volume.json              its record (the sidecar); a fresh one may have none yet
//     plugin.json              whom its plugin has been told to mount it for (MountLedger)
//     _data/                   its files, or the mount point for them; of a volume with a size
//     limit
//                              on btrfs a subvolume, with project quotas a directory of a project
//     _data.ext4               where the data root has neither: the file system with its files
//     _data.new, _data.ext4.new, _data.old   while a limit is put on files that are there already;
//                              while an image grows
//   staging/volume-<id>/       a volume being made
//   staging/adopt-<id>/        a volume whose _data is moved in from another engine; with that in
//                              it, it is complete but for its place
//   staging/volume-<id>        a record on its way into a volume
//   staging/fill-<id>/         content on its way into an empty volume
//   staging/fill-<id>.json     names the volume into which .holdfast-fill-<id> is being filled in
//                              place
//   trash/volume-<id>/         a removed volume until its space is given back
//
// Other parts of the daemon keep other names in staging/ and trash/.
namespace layout {

inline constexpr const char* kData = "_data";
inline constexpr const char* kImage = "_data.ext4";
inline constexpr const char* kNewData = "_data.new";
inline constexpr const char* kNewImage = "_data.ext4.new";
inline constexpr const char* kOldData = "_data.old";
inline constexpr const char* kSidecar = "volume.json";
inline constexpr const char* kPluginMounts = "plugin.json";
inline constexpr const char* kVolumePrefix = "volume-";
inline constexpr const char* kAdoptPrefix = "adopt-";
inline constexpr const char* kFillPrefix = "fill-";
inline constexpr const char* kMarkerSuffix = ".json";

}  // namespace layout

// The open directories of a data root. Owned by Volumes; immutable once open.
struct VolumeDirectories {
  std::string root;  // absolute path of the data root
  UniqueFd volumes;
  UniqueFd staging;
  UniqueFd trash;
  // Whether syncing one file makes every earlier change of names durable too, as file systems with
  // one ordered journal do (XFS, and ext4 unless it has none). Elsewhere each directory is synced.
  bool ordered_journal = false;

  static Result<VolumeDirectories> open(const std::string& data_root);

  std::string mountpoint(const VolumeName& name) const;
  // The volume's own directory (O_PATH); kDataLoss when it is not there.
  Result<UniqueFd> open_volume(const VolumeName& name) const;
};

// fsync(2) of a directory or file.
Status sync_fd(BorrowedFd fd, const std::string& what);

}  // namespace holdfast
