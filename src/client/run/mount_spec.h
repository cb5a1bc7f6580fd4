#pragma once

#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::client {

// --mount type=…,src=…,dst=…,… as an entry of HostConfig.Mounts. Relative sources that begin with a
// dot are taken from the working directory. Beside Docker's keys it takes Podman's (U, chown,
// idmap, relabel, uid, gid, mode, max) and the options of -v (noexec, O, copy, …), which go into
// Options. kInvalidArgument in Docker's words.
Result<json::Object> parse_mount_spec(std::string_view text);

// What -v NAME:/path, /host:/path or /path goes into: HostConfig.Binds, or Config.Volumes for an
// anonymous volume.
struct VolumeSpec {
  bool anonymous = false;
  std::string bind;  // with the host path made absolute; for an anonymous one, the target
};
Result<VolumeSpec> parse_volume_spec(std::string_view text);

// A path made absolute if it begins with a dot; others are left as they are.
std::string absolute_if_dotted(std::string_view path);

}  // namespace holdfast::client
