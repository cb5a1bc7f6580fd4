#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "os/mount.h"

namespace holdfast {

using VolumeOptions = std::map<std::string, std::string>;

// The local driver's options type, o and device, taken apart.
struct LocalMount {
  std::string type;
  std::string device;
  bool bind = false;  // type has no meaning then, as for mount(8)
  bool recursive = false;
  bool loop = false;  // device is a file
  MountAttributes attributes;
  std::vector<MountOption> options;  // for the file system
  unsigned long flags = 0;  // the same as MS_ bits and rest, as Docker's messages show them
  std::string data;         // without secrets
};

// Docker's rules and words: kInvalidArgument for an unknown option, one that needs another, or a
// `size` that is none or doesn't go with the rest.
Status check_local_options(const VolumeOptions& options);

// Whether they ask for a mount.
bool has_mount(const VolumeOptions& options);

// Bytes of the option `size`; 0: no limit.
Result<std::uint64_t> size_limit(const VolumeOptions& options);

// kInvalidArgument for what no mount can come of: options that are unknown, given twice,
// contradictory, without their value or too long, and such as act on other mounts.
Result<LocalMount> parse_local_mount(const VolumeOptions& options);

// `o` for a mount.<type> program: all words but those that are not for file systems.
// kInvalidArgument if one of them could be taken for more than one.
Result<std::string> helper_options(const VolumeOptions& options);

}  // namespace holdfast
