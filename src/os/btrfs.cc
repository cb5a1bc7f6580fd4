#include "os/btrfs.h"

#include <btrfsutil.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>

#include "base/file.h"

namespace holdfast {
namespace {

// Names that Debian 12's headers lack.
constexpr __u64 kEnableSimple = 4;        // BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA
constexpr std::uint64_t kSimpleMode = 8;  // BTRFS_QGROUP_STATUS_FLAG_SIMPLE_MODE
constexpr ino_t kFirstFreeInode = 256;    // of a subvolume's root directory

Status util_failure(btrfs_util_error error, int number, const std::string& what) {
  if (error == BTRFS_UTIL_OK) return {};
  return fail_errno_text(number, what);
}

// One item of a tree: its key and its bytes.
struct Item {
  btrfs_ioctl_search_header header;
  const char* bytes;
};

// Calls `take` for the items of the quota tree between the keys, until it returns false. ENOENT in
// sys_errno: quotas are off.
Status search_quota_tree(BorrowedFd fd, const btrfs_ioctl_search_key& wanted,
                         const std::function<bool(const Item&)>& take) {
  btrfs_ioctl_search_args arguments = {};
  arguments.key = wanted;
  arguments.key.tree_id = BTRFS_QUOTA_TREE_OBJECTID;
  arguments.key.max_transid = ~0ULL;
  while (true) {
    arguments.key.nr_items = 4096;
    if (::ioctl(fd.get(), BTRFS_IOC_TREE_SEARCH, &arguments) != 0)
      return fail_errno("search quota tree of btrfs");
    if (arguments.key.nr_items == 0) return {};
    Item item = {};
    const char* at = arguments.buf;
    for (__u32 i = 0; i < arguments.key.nr_items; ++i) {
      std::memcpy(&item.header, at, sizeof item.header);
      item.bytes = at + sizeof item.header;
      at = item.bytes + item.header.len;
      if (!take(item)) return {};
    }
    // On from the key behind the last one.
    arguments.key.min_objectid = item.header.objectid;
    arguments.key.min_type = item.header.type;
    arguments.key.min_offset = item.header.offset + 1;
    if (arguments.key.min_offset == 0) return {};
  }
}

btrfs_ioctl_search_key key_range(__u64 object, __u32 type, __u64 first, __u64 last) {
  btrfs_ioctl_search_key key = {};
  key.min_objectid = key.max_objectid = object;
  key.min_type = key.max_type = type;
  key.min_offset = first;
  key.max_offset = last;
  return key;
}

// The item of that type for one group, copied into `into`; false if there is none.
template <typename T>
Result<bool> find_item(BorrowedFd fd, __u32 type, std::uint64_t offset, T& into) {
  bool found = false;
  RETURN_IF_ERROR(search_quota_tree(fd, key_range(0, type, offset, offset), [&](const Item& item) {
    bool same = item.header.objectid == 0 && item.header.type == type &&
                item.header.offset == offset && item.header.len >= sizeof into;
    if (same) std::memcpy(&into, item.bytes, sizeof into);
    found = found || same;
    return !found;
  }));
  return found;
}

}  // namespace

bool is_on_btrfs(BorrowedFd fd) {
  struct statfs status = {};
  return ::fstatfs(fd.get(), &status) == 0 && status.f_type == BTRFS_SUPER_MAGIC;
}

bool is_subvolume(BorrowedFd directory) {
  struct stat status = {};
  return ::fstat(directory.get(), &status) == 0 && status.st_ino == kFirstFreeInode &&
         S_ISDIR(status.st_mode) && is_on_btrfs(directory);
}

Result<std::uint64_t> subvolume_id(BorrowedFd subvolume) {
  std::uint64_t id = 0;
  auto error = ::btrfs_util_subvolume_id_fd(subvolume.get(), &id);
  RETURN_IF_ERROR(util_failure(error, errno, "read id of subvolume"));
  return id;
}

Status create_subvolume(BorrowedFd parent, const std::string& name) {
  ASSIGN_OR_RETURN(auto readable, open_file_at(parent, ".", O_RDONLY | O_DIRECTORY));
  auto error = ::btrfs_util_create_subvolume_fd(readable.get(), name.c_str(), 0, nullptr, nullptr);
  return util_failure(error, errno, fmt::format("create subvolume \"{}\"", name));
}

Status delete_subvolume(BorrowedFd parent, const std::string& name) {
  ASSIGN_OR_RETURN(auto readable, open_file_at(parent, ".", O_RDONLY | O_DIRECTORY));
  auto error = ::btrfs_util_delete_subvolume_fd(readable.get(), name.c_str(),
                                                BTRFS_UTIL_DELETE_SUBVOLUME_RECURSIVE);
  return util_failure(error, errno, fmt::format("delete subvolume \"{}\"", name));
}

Result<QuotaMode> quota_mode(BorrowedFd fd) {
  btrfs_qgroup_status_item item = {};
  auto found = find_item(fd, BTRFS_QGROUP_STATUS_KEY, 0, item);
  if (!found && found.error().sys_errno == ENOENT) return QuotaMode::kOff;
  if (!found) return tl::unexpected(std::move(found).error());
  auto flags = le64toh(item.flags);
  if (!*found || (flags & BTRFS_QGROUP_STATUS_FLAG_ON) == 0) return QuotaMode::kOff;
  return (flags & kSimpleMode) != 0 ? QuotaMode::kSimple : QuotaMode::kFull;
}

Status enable_quota(BorrowedFd fd) {
  ASSIGN_OR_RETURN(auto mode, quota_mode(fd));
  if (mode != QuotaMode::kOff) return {};
  btrfs_ioctl_quota_ctl_args arguments = {};
  arguments.cmd = kEnableSimple;
  if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &arguments) == 0) return {};
  arguments = {};
  arguments.cmd = BTRFS_QUOTA_CTL_ENABLE;
  if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_CTL, &arguments) != 0)
    return fail_errno("enable quotas of btrfs");
  // Until all is counted no limit holds.
  if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN_WAIT) != 0)
    return fail_errno("wait for quotas of btrfs to be counted");
  return {};
}

Result<std::optional<QuotaGroup>> read_quota_group(BorrowedFd fd, std::uint64_t group) {
  btrfs_qgroup_info_item use = {};
  ASSIGN_OR_RETURN(bool found, find_item(fd, BTRFS_QGROUP_INFO_KEY, group, use));
  if (!found) return std::nullopt;
  QuotaGroup result;
  result.used = le64toh(use.rfer);
  btrfs_qgroup_limit_item limit = {};
  ASSIGN_OR_RETURN(bool limited, find_item(fd, BTRFS_QGROUP_LIMIT_KEY, group, limit));
  if (limited && (le64toh(limit.flags) & BTRFS_QGROUP_LIMIT_MAX_RFER) != 0)
    result.limit = le64toh(limit.max_rfer);
  return result;
}

std::vector<std::uint64_t> quota_group_members(BorrowedFd fd, std::uint64_t group) {
  std::vector<std::uint64_t> members;
  auto range = key_range(group, BTRFS_QGROUP_RELATION_KEY, 0, ~0ULL);
  static_cast<void>(search_quota_tree(fd, range, [&](const Item& item) {
    // Each relation is there from both ends; members are of a lower level.
    if (item.header.type == BTRFS_QGROUP_RELATION_KEY && item.header.objectid == group &&
        item.header.offset >> 48 < group >> 48)
      members.push_back(item.header.offset);
    return true;
  }));
  return members;
}

Status create_quota_group(BorrowedFd fd, std::uint64_t group) {
  btrfs_ioctl_qgroup_create_args arguments = {1, group};
  if (::ioctl(fd.get(), BTRFS_IOC_QGROUP_CREATE, &arguments) == 0 || errno == EEXIST) return {};
  return fail_errno("create quota group of btrfs");
}

Status remove_quota_group(BorrowedFd fd, std::uint64_t group) {
  btrfs_ioctl_qgroup_create_args arguments = {0, group};
  if (::ioctl(fd.get(), BTRFS_IOC_QGROUP_CREATE, &arguments) == 0 || errno == ENOENT) return {};
  return fail_errno("remove quota group of btrfs");
}

Status assign_quota_group(BorrowedFd fd, std::uint64_t member, std::uint64_t group, bool assign) {
  btrfs_ioctl_qgroup_assign_args arguments = {assign ? 1ULL : 0ULL, member, group};
  int result = ::ioctl(fd.get(), BTRFS_IOC_QGROUP_ASSIGN, &arguments);
  if (result < 0 && errno != (assign ? EEXIST : ENOENT)) return fail_errno("assign quota group");
  // 1: the counts of full quotas are right again after a scan, which others run, too.
  if (result > 0) {
    btrfs_ioctl_quota_rescan_args rescan = {};
    if (::ioctl(fd.get(), BTRFS_IOC_QUOTA_RESCAN, &rescan) != 0 && errno != EINPROGRESS)
      return fail_errno("count quotas of btrfs");
  }
  return {};
}

Status limit_quota_group(BorrowedFd fd, std::uint64_t group, std::optional<std::uint64_t> bytes) {
  btrfs_ioctl_qgroup_limit_args arguments = {};
  arguments.qgroupid = group;
  arguments.lim.flags = BTRFS_QGROUP_LIMIT_MAX_RFER;
  arguments.lim.max_rfer = bytes.value_or(~0ULL);  // ~0: none
  if (::ioctl(fd.get(), BTRFS_IOC_QGROUP_LIMIT, &arguments) != 0)
    return fail_errno("limit quota group of btrfs");
  return {};
}

}  // namespace holdfast
