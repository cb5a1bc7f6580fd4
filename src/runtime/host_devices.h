#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace holdfast {

// A device node of the host.
struct HostDevice {
  std::string path;
  char type = 'c';  // 'c' or 'b'
  std::int64_t major = 0;
  std::int64_t minor = 0;
  unsigned mode = 0;
  unsigned uid = 0;
  unsigned gid = 0;
};

// The device at `path`, symlinks followed, or every device beneath it when it is a directory.
// kInvalidArgument in Docker's words when there is none.
Result<std::vector<HostDevice>> devices_at(const std::string& path);

// Every device beneath `directory` (/dev), but for those that each container has its own of.
std::vector<HostDevice> all_host_devices(const std::string& directory);

}  // namespace holdfast
