#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// `count` ids from `inside` on are those from `outside` on, a line of /proc/PID/uid_map
// (user_namespaces(7)). For an idmapped mount inside is the id on the disk, outside the one seen
// through the mount.
struct IdRange {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;

  bool operator==(const IdRange&) const = default;
};

struct IdMap {
  std::vector<IdRange> uids;
  std::vector<IdRange> gids;

  bool operator==(const IdMap&) const = default;
};

// A user namespace, open, and the map it was made with. Borrows the descriptor.
struct UserNamespace {
  IdMap ids;
  BorrowedFd file{-1};
};

// 2^32 - 1 means "no id" to the kernel: the highest that can be mapped is one below.
inline constexpr std::uint32_t kNoId = 0xffffffff;

// Every id as it is, but for `one` and `other`, which change places.
std::vector<IdRange> swap_ids(std::uint32_t one, std::uint32_t other);

// kInvalidArgument, saying which range: empty, beyond the highest id, overlapping another on either
// side, or more ranges than the kernel takes (340).
Status check_id_ranges(const std::vector<IdRange>& ranges);

// What `id` inside is outside; kNoId when it isn't mapped.
std::uint32_t map_id(const std::vector<IdRange>& ranges, std::uint32_t id);

// The way back; kNoId when nothing is mapped to `id`.
std::uint32_t unmap_id(const std::vector<IdRange>& ranges, std::uint32_t id);

// A user namespace with these maps and nobody in it, known by its descriptor alone. Needs
// CAP_SETUID, CAP_SETGID and CAP_SYS_ADMIN.
Result<UniqueFd> make_user_namespace(const IdMap& map);

}  // namespace holdfast
