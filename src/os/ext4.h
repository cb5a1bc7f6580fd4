#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

// ext4 file systems in files of ours: reading their superblock without mounting them, and what the
// kernel lets be changed while they are mounted.
namespace holdfast {

inline constexpr std::uint64_t kExt4BlockSize = 4096;  // of those we make

// What the superblock of an ext4 with blocks of 4 KiB says (ext4_super_block, fs/ext4/ext4.h). The
// count of free blocks is exact only after an unmount.
struct Ext4Superblock {
  std::uint64_t blocks = 0;
  // Blocks no file can have: tables, bitmaps, journal. Not known after resize2fs, until the next
  // mount has written it (5.18).
  std::optional<std::uint64_t> overhead;
  std::uint64_t free = 0;
  std::uint64_t own = 0;        // blocks that an empty one uses already: its root directory, …
  bool needs_recovery = false;  // its journal is to be replayed, which the next mount does
  bool has_errors = false;      // to be checked before it is mounted

  // Blocks that files of an empty one could have; at least so many, where that isn't known.
  std::uint64_t capacity() const;
  std::optional<std::uint64_t> used() const;
};

// Blocks that suffice for files to have `capacity`, whatever the tables take.
std::uint64_t ext4_blocks_for(std::uint64_t capacity);

// kDataLoss for what is no such file system.
Result<Ext4Superblock> read_ext4_superblock(BorrowedFd image);

// Blocks of the file system that `root` (O_PATH will do) lies on.
struct BlockCounts {
  std::uint64_t total = 0;  // without overhead
  std::uint64_t free = 0;
};
Result<BlockCounts> count_blocks(BorrowedFd root);

// Holds `blocks` back from everybody, root included, of the mounted ext4 on `device`
// ("/dev/loop3"): writes get ENOSPC when no others are free. Forgotten at unmount. By /sys/fs/ext4,
// which must be writable.
Status hold_back_blocks(const std::string& device, std::uint64_t blocks);

// Grows the mounted ext4 whose root is `root` to `blocks`; its device has the room already. Needs
// CAP_SYS_RESOURCE.
Status resize_mounted_ext4(BorrowedFd root, std::uint64_t blocks);

// Whether this process has a capability (capabilities(7)) now.
bool has_capability(unsigned number);

}  // namespace holdfast
