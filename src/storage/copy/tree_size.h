#pragma once

#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Sum of the apparent sizes of the non-directories in `directory`, a file with several hard links
// counted once, as Docker counts a volume's size. Files that vanish meanwhile are not counted;
// mounts beneath are not entered.
Result<std::uint64_t> tree_size(BorrowedFd directory, const std::atomic<bool>* cancelled = nullptr);

}  // namespace holdfast
