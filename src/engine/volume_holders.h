#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "engine/container_table.h"

namespace holdfast {

// Who the holders of a volume are: to storage they are opaque, here they are containers, or such as
// are just being created and not in the table yet.

// For inspect: id, name, state, and each place it is mounted at.
json::Array holders_json(const ContainerTable& table, const std::vector<HolderId>& holders,
                         const VolumeName& volume);

// Docker's words for a volume in use have the ids alone, and stay in front for those who read them
// by program; the names follow.
Error with_holders_named(Error error, const ContainerTable& table,
                         const std::vector<HolderId>& holders);

// Puts one name in place of another wherever the container's data spells it: its mounts, and Binds
// and Mounts as they were asked for. A mount of what was anonymous is a named one then.
void rename_volume_in(ContainerData& data, const VolumeName& from, const VolumeName& to);

}  // namespace holdfast
