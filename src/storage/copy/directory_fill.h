#pragma once

#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "storage/copy/tree_copy.h"

// Filling an empty directory that somebody may be looking at, all or nothing: the content is copied
// to .holdfast-fill-<id> in it, synced, renamed to .holdfast-full-<id>, and its entries are moved
// up one by one. Who fills writes `id` down first, durably; after a crash finish_directory_fill()
// takes away what was being copied, or finishes what was complete.
namespace holdfast {

// Whether `directory` has no entries.
Result<bool> is_empty(BorrowedFd directory);

// Copies the content of `source` into `root`, where it lies complete and synced, but not in its
// place yet: finish_directory_fill() is due. After a failure undo_directory_fill() is.
Result<TreeCopyTotals> begin_directory_fill(BorrowedFd root, BorrowedFd source,
                                            const std::string& id,
                                            const TreeCopyOptions& options = {});
Status undo_directory_fill(BorrowedFd root, const std::string& id);

// Puts what begin_directory_fill() has completed in its place, with the owner, mode and attributes
// of the source itself, and takes away what it hasn't completed. Durable on return; safe to repeat,
// only the root's time is lost where a crash came among the moves.
Status finish_directory_fill(BorrowedFd root, const std::string& id);

// Whether `directory` is behind FUSE. Programs that write behind (rclone) lose files whose names
// change before they are done with them, so that the above is nothing for it.
bool is_behind_fuse(BorrowedFd directory);

// Copies the content of `source` to where it belongs in `root`, which takes the owner, mode and
// attributes of `source`, and syncs it. What a failure leaves is the caller's.
Result<TreeCopyTotals> fill_directly(BorrowedFd root, BorrowedFd source,
                                     const TreeCopyOptions& options = {});

}  // namespace holdfast
