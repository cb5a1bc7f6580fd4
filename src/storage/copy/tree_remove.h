#pragma once

#include <atomic>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Removes the entry `name` of `directory` and everything in it; a missing one is success. By
// descriptor: never follows a symlink and never leaves the file system `name` is on, so that what
// is mounted or swapped in beneath is not touched (kConflict then). When `cancelled` turns true it
// stops with kCancelled; repeating goes on.
Status remove_tree(BorrowedFd directory, const std::string& name,
                   const std::atomic<bool>* cancelled = nullptr);

// The same for everything in `directory`, which itself stays.
Status remove_contents(BorrowedFd directory, const std::atomic<bool>* cancelled = nullptr);

}  // namespace holdfast
