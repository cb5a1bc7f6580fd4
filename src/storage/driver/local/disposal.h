#pragma once

#include <atomic>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Deletes the files of a volume that nobody can see any more: `_data` of its own directory, in the
// trash or in staging, whatever made it. Repeatable; when `cancelled` turns true it stops with
// kCancelled.
Status dispose_of_files(BorrowedFd directory, const std::atomic<bool>* cancelled = nullptr);

}  // namespace holdfast
