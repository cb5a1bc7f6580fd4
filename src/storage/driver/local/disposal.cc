#include "storage/driver/local/disposal.h"

#include <cerrno>

#include "os/inode_flags.h"
#include "storage/copy/tree_remove.h"
#include "storage/volume/layout.h"

namespace holdfast {

Status dispose_of_files(BorrowedFd directory, const std::atomic<bool>* cancelled) {
  if (auto cleared = set_immutable(directory, layout::kData, false);
      !cleared && cleared.error().sys_errno != ENOENT)
    return cleared;
  return remove_tree(directory, layout::kData, cancelled);
}

}  // namespace holdfast
