#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/mounts/mount_point.h"

namespace holdfast {

// What the mounts of another container are, for VolumesFrom; kNotFound "No such container: x".
using MountsOfContainer =
    std::function<Result<std::vector<MountPoint>>(const std::string& name_or_id)>;

struct PlanContext {
  MountsOfContainer mounts_of;
  // Read-only mounts leave those beneath them writable unless they say otherwise, as for clients of
  // an API before 1.44.
  bool read_only_top_only = false;
};

// The one normaliser: turns Binds, Mounts, Tmpfs, VolumesFrom and Volumes (the image's included,
// already merged into `config`) into one list, ordered by the depth of the target, with later
// sources overriding VolumesFrom as in Docker. Nothing is looked up on the host but what
// `mounts_of` answers. kInvalidArgument in Docker's words.
Result<std::vector<MountPoint>> plan_mounts(const json::Object& config,
                                            const json::Object& host_config,
                                            const PlanContext& context);

// One -v: "name:/target[:options]", "/host:/target[:options]" or "/target".
Result<MountPoint> parse_bind_spec(const std::string& spec, const std::string& volume_driver);

// An absolute path without "." and ".." and doubled slashes, by text alone, as Go's path.Clean.
std::string clean_path(std::string_view path);

// `invalid mount config for type "bind": why`, kInvalidArgument.
tl::unexpected<Error> invalid_mount_config(std::string_view type, std::string_view why);

// Parents before what lies below them.
void order_by_depth(std::vector<MountPoint>& mounts);

}  // namespace holdfast
