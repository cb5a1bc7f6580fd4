#pragma once

#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

struct TreeCopyOptions {
  bool same_file_system =
      false;  // leave mounts beneath `source` out (their mount points are copied)
  bool include_devices = false;                  // device nodes; otherwise they are left out
  unsigned threads = 0;                          // 0: as many as pay, 2 at most
  const std::atomic<bool>* cancelled = nullptr;  // checked between files; then kCancelled
};

struct TreeCopyTotals {
  std::uint64_t files = 0;
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;        // apparent size of regular files
  std::uint64_t left_out = 0;     // sockets, and devices unless asked for
  std::uint64_t owners_kept = 0;  // files whose owner the target's file system refused to change
};

// Copies what is in directory `source` into directory `target`, and the root's owner, mode, times
// and attributes onto `target`. Kept exactly: owners, modes, times (ns), extended attributes with
// ACLs and capabilities, hard links within the tree, symlinks as they are, holes, FIFOs. Blocks are
// shared where the file system can (FICLONE). By descriptor: nothing a stranger swaps in the source
// leads out of it. What is in `target` already is an error (kAlreadyExists) by name. Not durable:
// the caller syncs. After failure `target` is half filled: build in a staging directory. Both may
// be O_PATH.
Result<TreeCopyTotals> copy_tree(BorrowedFd source, BorrowedFd target,
                                 const TreeCopyOptions& options = {});

}  // namespace holdfast
