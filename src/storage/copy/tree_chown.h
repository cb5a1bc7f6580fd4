#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Makes `uid` and `gid` the owner of all that walk_tree() visits and that isn't theirs yet.
// Set-user-id bits and file capabilities of what changes hands are taken away, as chown(2) does.
// Safe to repeat; not durable. Returns how many changed hands.
Result<std::uint64_t> chown_tree(BorrowedFd root, std::uint32_t uid, std::uint32_t gid);

}  // namespace holdfast
