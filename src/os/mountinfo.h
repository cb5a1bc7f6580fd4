#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "os/mount.h"

namespace holdfast {

// One line of /proc/PID/mountinfo (proc(5)), octal escapes undone.
struct MountEntry {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  std::string device;  // "major:minor"
  std::string root;    // path within the file system
  std::string target;  // path in the mount tree
  std::string options;
  std::string type;
  std::string source;
  std::string super_options;
  std::uint64_t peer_group = 0;  // shared:N
  std::uint64_t master = 0;      // master:N
  bool unbindable = false;

  // kSlave for a mount that also is shared.
  Propagation propagation() const;
};

// The mounts of this process's mount namespace, in the kernel's order: later ones hide earlier ones
// at one target.
Result<std::vector<MountEntry>> read_mount_table();

// Lines that cannot be understood are left out.
std::vector<MountEntry> parse_mount_table(std::string_view text);

// Whether `directory`/`path` (`path` empty: `directory` itself) is the root of a mount; the last
// symlink is not followed. Costs one statx(2) where the kernel tells (5.8), else a look at the
// mount table.
Result<bool> is_mount_point(BorrowedFd directory, const std::string& path);

// The mount on which `fd` lies.
Result<MountEntry> mount_of(BorrowedFd fd);

// Whether something is mounted on `directory`/`name`, a directory. Asks nothing of what is mounted
// there, which may hang.
Result<bool> is_mounted_on(BorrowedFd directory, const std::string& name);

// The topmost mount on `directory`/`name`, or nullopt. Goes by names in the mount table alone: what
// is mounted there may hang.
Result<std::optional<MountEntry>> mount_on(BorrowedFd directory, const std::string& name);

}  // namespace holdfast
