#pragma once

#include <vector>

#include "base/error.h"
#include "engine/mounts/mount_point.h"

namespace holdfast {

// Puts in place of each mount of type glob a bind of every file its pattern (glob(7)) matches now:
// at its own name below the target, or where it is on the host if there is no target.
// kInvalidArgument for a pattern that matches nothing, or two mounts on one target.
Status expand_globs(std::vector<MountPoint>& mounts);

}  // namespace holdfast
