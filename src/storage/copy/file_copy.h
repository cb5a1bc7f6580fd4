#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Whether a copy may share its blocks with what it is of: where the file system can, never, so that
// every block counts against the copy's own limit, or as a must, which is an error where it can't.
enum class BlockSharing { kWherePossible, kNever, kRequired };

struct FileCopyOptions {
  BlockSharing sharing = BlockSharing::kWherePossible;
  const std::atomic<bool>* cancelled = nullptr;  // then kCancelled
  std::atomic<std::uint64_t>* copied = nullptr;  // counts on by bytes of apparent size
  // For many files between the same two file systems: set once these are seen to share no blocks,
  // which is then no longer tried.
  std::atomic<bool>* unshareable = nullptr;
};

// Copies the content of regular file `source`, whose state is `status`, into the new, empty file
// `target`: shared blocks (FICLONE) as `sharing` says, else inside the kernel, with holes kept. A
// file that shrinks meanwhile is copied as far as it goes. Returns the bytes of its apparent size.
Result<std::uint64_t> copy_file_content(BorrowedFd source, BorrowedFd target,
                                        const struct stat& status,
                                        const FileCopyOptions& options = {});

}  // namespace holdfast
