#include "storage/driver/local/subvolume_backing.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "os/btrfs.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_copy.h"
#include "storage/copy/tree_remove.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

std::uint64_t group_of(std::uint64_t subvolume) {
  return SubvolumeBacking::kLevel << 48 | subvolume;
}

// Brings the group of a subvolume to the limit, from wherever a crash or an administrator left it.
Status enforce(BorrowedFd subvolume, std::uint64_t limit) {
  ASSIGN_OR_RETURN(auto id, subvolume_id(subvolume));
  RETURN_IF_ERROR(enable_quota(subvolume));
  ASSIGN_OR_RETURN(auto group, read_quota_group(subvolume, group_of(id)));
  if (group && group->limit == limit) return {};
  if (!group) {
    RETURN_IF_ERROR(create_quota_group(subvolume, group_of(id)));
    RETURN_IF_ERROR(assign_quota_group(subvolume, id, group_of(id), true));
  }
  return limit_quota_group(subvolume, group_of(id), limit);
}

Status make_limited(BorrowedFd directory, const char* name, std::uint64_t limit) {
  RETURN_IF_ERROR(create_subvolume(directory, name));
  ASSIGN_OR_RETURN(auto subvolume, open_directory(directory, name));
  if (::fchmod(subvolume.get(), 0755) != 0) return fail_errno("chmod \"{}\"", name);
  return enforce(subvolume, limit);
}

Status sync_all(BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto readable, open_directory(directory, ""));
  if (::syncfs(readable.get()) != 0) return fail_errno("sync file system");
  return {};
}

}  // namespace

bool SubvolumeBacking::suits(BorrowedFd directory) { return is_on_btrfs(directory); }

Result<bool> SubvolumeBacking::has(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  return is_subvolume(data);
}

Status SubvolumeBacking::create(const SizedVolume& volume) {
  RETURN_IF_ERROR(make_limited(volume.directory, layout::kData, volume.limit));
  return sync_all(volume.directory);
}

// A copy, which then changes places with the directory. It shares no blocks with it: simple quotas
// would count them for whoever wrote them first.
Status SubvolumeBacking::adopt(const SizedVolume& volume) {
  RETURN_IF_ERROR(dispose_of_subvolume(volume.directory, layout::kNewData));
  auto copy = [&]() -> Status {
    RETURN_IF_ERROR(make_limited(volume.directory, layout::kNewData, volume.limit));
    ASSIGN_OR_RETURN(auto from, open_directory(volume.directory, layout::kData));
    ASSIGN_OR_RETURN(auto to, open_directory(volume.directory, layout::kNewData));
    TreeCopyOptions options;
    options.include_devices = true;
    options.sharing = BlockSharing::kNever;
    RETURN_IF_ERROR(copy_tree(from, to, options).map([](const TreeCopyTotals&) {}));
    RETURN_IF_ERROR(sync_all(volume.directory));
    if (::renameat2(volume.directory.get(), layout::kNewData, volume.directory.get(), layout::kData,
                    RENAME_EXCHANGE) != 0)
      return fail_errno("exchange \"{}\" for a subvolume", volume.target);
    return sync_all(volume.directory);
  };
  if (auto copied = copy(); !copied) {
    static_cast<void>(dispose_of_subvolume(volume.directory, layout::kNewData));
    return copied;
  }
  return remove_tree(volume.directory, layout::kNewData);
}

Result<UniqueFd> SubvolumeBacking::mount(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  RETURN_IF_ERROR(enforce(data, volume.limit));
  return open_file_at(volume.directory, layout::kData, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<SizeBacking::Use> SubvolumeBacking::use(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  ASSIGN_OR_RETURN(auto id, subvolume_id(data));
  ASSIGN_OR_RETURN(auto group, read_quota_group(data, group_of(id)));
  if (!group) return fail(Code::kNotFound, "volume \"{}\" has no quota group", volume.name);
  return Use{group->used, std::nullopt};
}

Status SubvolumeBacking::resize(const SizedVolume& volume, bool) {
  ASSIGN_OR_RETURN(auto data, open_directory(volume.directory, layout::kData));
  return enforce(data, volume.limit);
}

Status dispose_of_subvolume(BorrowedFd directory, const std::string& name,
                            const std::atomic<bool>* cancelled) {
  auto opened = open_directory(directory, name.c_str());
  if (!opened && opened.error().sys_errno == ENOENT) return {};
  ASSIGN_OR_RETURN(auto subvolume, std::move(opened));
  if (!is_subvolume(subvolume)) return remove_tree(directory, name, cancelled);
  ASSIGN_OR_RETURN(auto id, subvolume_id(subvolume));
  // At its limit, not even a deletion finds room.
  static_cast<void>(limit_quota_group(subvolume, group_of(id), std::nullopt));
  subvolume.reset();
  auto deleted = delete_subvolume(directory, name);
  // The kernel may not let us do that (rights, a swap file in it), but its files can go.
  if (!deleted) deleted = remove_tree(directory, name, cancelled);
  RETURN_IF_ERROR(std::move(deleted));
  // Quotas may have been switched off meanwhile: then there are no groups.
  ASSIGN_OR_RETURN(auto parent, open_directory(directory, ""));
  for (auto member : quota_group_members(parent, group_of(id))) {
    static_cast<void>(assign_quota_group(parent, member, group_of(id), false));
    // The kernel does that by itself once its blocks are freed (6.12), and can't before.
    static_cast<void>(remove_quota_group(parent, member));
  }
  static_cast<void>(remove_quota_group(parent, group_of(id)));
  return {};
}

}  // namespace holdfast
