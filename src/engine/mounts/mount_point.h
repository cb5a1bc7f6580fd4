#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "os/id_map.h"

namespace holdfast {

enum class MountType { kBind, kVolume, kTmpfs, kImage, kRamfs, kDevpts, kGlob };

// How far read-only reaches below the mount itself.
enum class ReadOnlyReach { kWhereKernelCan, kTopOnly, kForced };

// What the option idmap of a mount asks for.
struct IdMapRequest {
  IdMap map;              // empty: the source's owner and the container's user change places
  bool relative = false;  // outside ids are those of the container's user namespace, not the host's

  bool swaps_owner() const { return map.uids.empty() && map.gids.empty(); }
  bool operator==(const IdMapRequest&) const = default;
};

// The option O: what the container writes goes to a layer above the source.
struct OverlayRequest {
  std::string upper;  // host paths that keep it, both or neither; neither: it goes with the exit
  std::string work;

  bool operator==(const OverlayRequest&) const = default;
};

enum class Relabel { kNone, kShared, kPrivate };  // z, Z

// One mount of a container, whichever field of the API it came from. Stored in the container's
// record.
struct MountPoint {
  MountType type = MountType::kVolume;
  std::string target;  // absolute and clean, as the container sees it
  // Bind: an absolute host path; glob: a pattern of such. Volume: its name; empty until an
  // anonymous one is created. Image: a reference.
  std::string source;
  std::string driver;  // of a volume
  std::string mode;    // the options as given: inspect shows them
  std::string propagation;
  bool read_only = false;
  ReadOnlyReach reach = ReadOnlyReach::kWhereKernelCan;
  bool recursive = true;  // a bind takes the mounts below its source along
  bool create_source =
      false;  // a missing bind source becomes a directory, a missing volume is made
  bool copy_image_data = false;
  bool anonymous = false;
  bool listed = true;           // among Mounts of inspect; what HostConfig.Tmpfs asked for is not
  std::optional<bool> no_exec;  // no value: as the source's mount has it
  std::optional<bool> no_suid;
  std::optional<bool> no_dev;
  bool change_owner = false;  // U: the files become the container user's, on the disk
  std::optional<IdMapRequest> id_map;
  std::optional<OverlayRequest> overlay;
  Relabel relabel = Relabel::kNone;
  std::string subpath;  // of a volume or image
  std::vector<std::string>
      options;  // of a file system made for the container: tmpfs, ramfs, devpts
  std::map<std::string, std::string> volume_labels;
  std::map<std::string, std::string> volume_options;

  // Whether there is something outside of the container that it shows.
  bool has_source() const {
    return type == MountType::kBind || type == MountType::kVolume || type == MountType::kImage;
  }
};

std::string_view to_string(MountType type);
std::optional<MountType> mount_type_of(std::string_view name);

json::Object to_json(const MountPoint& mount);  // for the container's record
MountPoint mount_from_json(const json::Object& json);

}  // namespace holdfast
