#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "engine/mounts/mount_point.h"
#include "runtime/oci_spec.h"

namespace holdfast {

// Where in a container the target of `mount` is, with the symlinks of its root directory and of the
// mounts that come `before` it followed, as an absolute path without symlinks. kInvalidArgument for
// a place that mounts must leave alone (protected_paths.h).
//
// Others may have the mounts before it, too, and exchange a symlink later: what the runtime makes
// of it is looked at when it is done (runtime/mount_check.h).
Result<std::string> find_mount_target(const MountPoint& mount, BorrowedFd root,
                                      const std::vector<ContainerMount>& before);

}  // namespace holdfast
