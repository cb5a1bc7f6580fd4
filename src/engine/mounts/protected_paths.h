#pragma once

#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "engine/mounts/mount_point.h"

// Places that mounts must leave alone.
namespace holdfast {

// What of /proc and /sys a mount may cover: a file that tells of the machine (as lxcfs does it) by
// a bind, all of /proc by the host's own, all of /sys by what the user names. What an image
// declares as its volume, or an anonymous volume, never; nor may those cover /dev or what is in it,
// but for its shared memory. kInvalidArgument with the reason.
Status check_mount_target(const MountPoint& mount);

// The same of a target that symlinks have led to, from the one `asked` for: what nobody has named
// stays out of all of /proc, /sys and /dev.
Status check_found_target(const MountPoint& mount, const std::string& asked);

// Of a bind on /proc, whose source is open: that it is a proc file system.
Status check_proc_source(BorrowedFd source);

// That /dev, /proc and /sys of a container's root are directories (or not there yet), so that what
// the runtime mounts there is there and nowhere else. kInvalidArgument names the one that isn't.
Status check_root_directories(BorrowedFd root);

// Directories of the host that a whole system rests on: "/", "/etc", "/usr", … themselves. Their
// owner and labels are nobody's to change from the top down.
bool is_system_directory(std::string_view path);

}  // namespace holdfast
