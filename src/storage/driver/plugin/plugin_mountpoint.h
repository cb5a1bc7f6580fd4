#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Opens the mountpoint that a plugin named (O_PATH), or refuses it: it must be the absolute path of
// an existing directory; not the root directory or one of the system's own (/etc, /usr, /var, …),
// by whatever path or bind mount they are reached; nothing of /proc, /sys or /dev; and not in, at
// or above one of `private_roots`. Judged by what was opened, which is what will be mounted. Asks
// no file system server, so that one that hangs holds nobody up. kPermissionDenied says which rule
// it breaks.
Result<UniqueFd> open_plugin_mountpoint(const std::string& path,
                                        const std::vector<std::string>& private_roots);

}  // namespace holdfast
