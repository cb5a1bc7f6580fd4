#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "os/mountinfo.h"

namespace holdfast {

// That nothing is mounted at, on or below /proc, /sys and /dev of a container, or over its root,
// but what `config` (its config.json) says; and that the three are there. A symlink that others
// exchange while the runtime follows it can lead a mount to another place than its target: `table`,
// the container's own, tells after the fact and before its first program runs. kInvalidArgument
// names the place.
Status check_mounts(const json::Object& config, const std::vector<MountEntry>& table);

}  // namespace holdfast
