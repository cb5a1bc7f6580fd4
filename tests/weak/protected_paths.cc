// Weakness: mounts may cover /proc and /sys, and an image may have symlinks in their place.
#include "engine/mounts/protected_paths.h"

namespace holdfast {

Status check_mount_target(const MountPoint&) { return {}; }
Status check_found_target(const MountPoint&, const std::string&) { return {}; }
Status check_proc_source(BorrowedFd) { return {}; }
Status check_root_directories(BorrowedFd) { return {}; }
bool is_system_directory(std::string_view) { return false; }

}  // namespace holdfast
