#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "os/ext4.h"

// Sparse files with an ext4 in them, by the programs of e2fsprogs.
namespace holdfast {

// How much files of a new image shall be able to have, in blocks, so that a limit of `limit` blocks
// fits. Where a mounted one can grow (`grows_mounted`) that is the limit itself; else headroom is
// made for the limit to be raised without: room that is held back costs no disk.
std::uint64_t planned_capacity(std::uint64_t limit, bool grows_mounted);

// Makes the file `directory`/`name` with an empty ext4 in which files can have `capacity` blocks,
// or a little more. kInvalidArgument if the file system of `directory` has no files that long.
Result<UniqueFd> make_image(BorrowedFd directory, const std::string& name, std::uint64_t capacity);

// Repairs an image that isn't mounted as far as e2fsck does so by itself. kDataLoss when more is
// needed.
Status check_image(BorrowedFd image);

// Makes the file `directory`/`name` from an image that isn't mounted, so that files in it can have
// `capacity` blocks, and some more. A copy (one that shares blocks, where the file system can),
// since resize2fs that is interrupted may leave neither the old nor the new. Synced on return.
Result<UniqueFd> grown_copy(BorrowedFd image, BorrowedFd directory, const std::string& name,
                            std::uint64_t capacity);

// A mark on the file (an extended attribute), set before mke2fs or e2fsck work on it: they leave a
// lost+found, which whoever mounts it next takes away. Where there are no such attributes, it
// stays.
Status mark_touched(BorrowedFd image, bool touched);
Result<bool> is_marked_touched(BorrowedFd image);

// Blocks that an image must have in all for its files to have `capacity`.
std::uint64_t length_for(const Ext4Superblock& superblock, std::uint64_t capacity);

}  // namespace holdfast
