#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace holdfast {

enum class MountType { kBind, kVolume, kTmpfs, kImage };

// How far read-only reaches below the mount itself.
enum class ReadOnlyReach { kWhereKernelCan, kTopOnly, kForced };

// One mount of a container, whichever field of the API it came from. Stored in the container's
// record.
struct MountPoint {
  MountType type = MountType::kVolume;
  std::string target;  // absolute and clean, as the container sees it
  // Bind: an absolute host path. Volume: its name; empty until an anonymous one is created. Image:
  // a reference.
  std::string source;
  std::string driver;  // of a volume
  std::string mode;    // the option list of a -v, as given: inspect shows it
  std::string propagation;
  bool read_only = false;
  ReadOnlyReach reach = ReadOnlyReach::kWhereKernelCan;
  bool recursive = true;       // a bind takes the mounts below its source along
  bool create_source = false;  // a missing bind source becomes a directory
  bool copy_image_data = false;
  bool anonymous = false;
  bool no_exec = false;
  bool no_suid = false;
  bool no_dev = false;
  std::string subpath;        // of a volume or image
  std::string tmpfs_options;  // as mount(8) takes them
  std::map<std::string, std::string> volume_labels;
  std::map<std::string, std::string> volume_options;
};

std::string_view to_string(MountType type);
json::Object to_json(const MountPoint& mount);  // for the container's record
MountPoint mount_from_json(const json::Object& json);

// What the mounts of another container are, for VolumesFrom; kNotFound "No such container: x".
using MountsOfContainer =
    std::function<Result<std::vector<MountPoint>>(const std::string& name_or_id)>;

// The one normaliser: turns Binds, Mounts, Tmpfs, VolumesFrom and Volumes (the image's included,
// already merged into `config`) into one list, ordered by the depth of the target, with later
// sources overriding VolumesFrom as in Docker. Nothing is looked up on the host but what
// `mounts_of` answers. kInvalidArgument in Docker's words.
Result<std::vector<MountPoint>> plan_mounts(const json::Object& config,
                                            const json::Object& host_config,
                                            const MountsOfContainer& mounts_of);

// One -v: "name:/target[:options]", "/host:/target[:options]" or "/target".
Result<MountPoint> parse_bind_spec(const std::string& spec, const std::string& volume_driver);

// An absolute path without "." and ".." and doubled slashes, by text alone, as Go's path.Clean.
std::string clean_path(std::string_view path);

}  // namespace holdfast
