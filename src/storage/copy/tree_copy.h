#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "storage/copy/file_copy.h"

namespace holdfast {

struct TreeCopyOptions {
  bool include_devices = false;  // device nodes; otherwise they are left out
  BlockSharing sharing = BlockSharing::kWherePossible;
  bool one_file_system = false;                  // an error where another is mounted in the source
  unsigned threads = 0;                          // 0: as many as pay
  const std::atomic<bool>* cancelled = nullptr;  // checked between blocks; then kCancelled
  std::atomic<std::uint64_t>* copied = nullptr;  // counts on by bytes, as TreeCopyTotals::bytes
  bool from_layer = false;  // leave overlayfs's marks (trusted.overlay.*) in it behind
  // A target that knows no symlinks or FIFOs gets none, one without hard links a file for each
  // name, and modes are what it makes of them; otherwise these are errors. Counted as refused.
  bool leave_unknown = false;
};

// What the target's file system refused: a network file system's, mostly, or FAT.
struct CopyRefusals {
  std::uint64_t owners = 0;  // files whose owner it didn't set
  std::uint64_t attributes = 0;
  std::uint64_t modes = 0;
  std::uint64_t entries = 0;  // symlinks and FIFOs that are missing
  std::string example;        // one of these, by its path in the tree

  bool told() const { return owners + modes + entries > 0; }  // what a user should hear of
};

struct TreeCopyTotals {
  std::uint64_t files = 0;  // all that is no directory; each name of a file with several counts
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;     // apparent size of regular files
  std::uint64_t left_out = 0;  // sockets, and devices unless asked for
  CopyRefusals refused;
};

// Copies what is in directory `source` into directory `target`, and the root's owner, mode, times
// and attributes onto `target`. Kept exactly: owners, modes, times (ns), extended attributes with
// ACLs and capabilities, hard links within the tree, symlinks as they are, holes, FIFOs. SELinux
// labels are not: they belong to the place. Blocks are shared where the file system can (FICLONE).
// By descriptor: nothing a stranger swaps in the source leads out of it. An entry that is in
// `target` already is an error (kAlreadyExists). Not durable: the caller syncs. After failure
// `target` is half filled: build in a staging directory. Both may be O_PATH.
Result<TreeCopyTotals> copy_tree(BorrowedFd source, BorrowedFd target,
                                 const TreeCopyOptions& options = {});

// Only the owner, mode, times and attributes (but overlayfs's marks) of `source` onto `target`; of
// anything open for reading, or O_PATH.
Status copy_attributes(BorrowedFd source, BorrowedFd target);

}  // namespace holdfast
