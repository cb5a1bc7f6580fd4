#include "storage/copy/tree_chown.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>

#include "storage/copy/tree_walk.h"

namespace holdfast {

Result<std::uint64_t> chown_tree(BorrowedFd root, std::uint32_t uid, std::uint32_t gid) {
  std::atomic<std::uint64_t> changed{0};
  RETURN_IF_ERROR(walk_tree(
      root, [&](BorrowedFd directory, const char* name, const struct statx& status) -> Status {
        if (status.stx_uid == uid && status.stx_gid == gid) return {};
        if (::fchownat(directory.get(), name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
          return fail_errno("change owner of \"{}\"", name);
        changed.fetch_add(1, std::memory_order_relaxed);
        return {};
      }));
  return changed;
}

}  // namespace holdfast
