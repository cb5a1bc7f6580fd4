#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "os/mount.h"

namespace holdfast {

// The local driver's options type, o and device, taken apart.
struct LocalMount {
  std::string type;
  std::string device;
  bool bind = false;  // type and file system options have no meaning then, as for mount(8)
  bool recursive = false;
  bool loop = false;  // device is a file
  MountAttributes attributes;
  std::vector<MountOption> options;  // for the file system
  unsigned long flags = 0;  // the same as MS_ bits and rest, as Docker's messages show them
  std::string data;
};

// Docker's rules and words: kInvalidArgument for an unknown option, or one that needs another.
Status check_local_options(const std::map<std::string, std::string>& options);

// Whether they ask for a mount.
bool has_mount(const std::map<std::string, std::string>& options);

// kInvalidArgument for options of `o` that would act on other mounts (remount, move).
Result<LocalMount> parse_local_mount(const std::map<std::string, std::string>& options);

}  // namespace holdfast
