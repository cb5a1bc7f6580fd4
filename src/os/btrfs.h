#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// Subvolumes and quota groups of btrfs (linux/btrfs.h, btrfs-qgroup(8)). Needs CAP_SYS_ADMIN.
namespace holdfast {

bool is_on_btrfs(BorrowedFd fd);

// Whether `directory` (open, not O_PATH) is the root of a subvolume.
bool is_subvolume(BorrowedFd directory);
Result<std::uint64_t> subvolume_id(BorrowedFd subvolume);
// `parent` may be an O_PATH descriptor, in both.
Status create_subvolume(BorrowedFd parent, const std::string& name);
// With the subvolumes in it. Its blocks are freed later, by the kernel.
Status delete_subvolume(BorrowedFd parent, const std::string& name);

// How a file system keeps count of quota groups. Simple (6.7): by who wrote a block first, at no
// cost. Full: by walking back references, which slows down whoever has many snapshots.
enum class QuotaMode { kOff, kSimple, kFull };
Result<QuotaMode> quota_mode(BorrowedFd fd);
// Switches it on, simple where the kernel can; waits for a full one to be counted. On already:
// success.
Status enable_quota(BorrowedFd fd);

// A quota group, numbered as the kernel does: level << 48 | id. Of level 0 there is one for each
// subvolume.
struct QuotaGroup {
  std::uint64_t used = 0;
  std::optional<std::uint64_t> limit;
};
// nullopt: there is no such group.
Result<std::optional<QuotaGroup>> read_quota_group(BorrowedFd fd, std::uint64_t group);
std::vector<std::uint64_t> quota_group_members(BorrowedFd fd, std::uint64_t group);

// Each is success when it is so already.
Status create_quota_group(BorrowedFd fd, std::uint64_t group);
Status remove_quota_group(BorrowedFd fd, std::uint64_t group);
Status assign_quota_group(BorrowedFd fd, std::uint64_t member, std::uint64_t group, bool assign);
// Bytes that the group's members may have together, with the metadata that describes them; nullopt:
// no limit.
Status limit_quota_group(BorrowedFd fd, std::uint64_t group, std::optional<std::uint64_t> bytes);

}  // namespace holdfast
