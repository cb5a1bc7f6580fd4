#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Opens `path` with O_CLOEXEC added to `flags`; the error names the path.
Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0);
Result<UniqueFd> open_file_at(BorrowedFd directory, const std::string& path, int flags,
                              unsigned mode = 0);
Result<UniqueFd> duplicate(BorrowedFd fd);

// Whole contents; fails with kResourceExhausted beyond `limit` bytes rather than fill memory.
Result<std::string> read_file(const std::string& path, std::size_t limit = 16 << 20);
Result<std::string> read_all(BorrowedFd fd, std::size_t limit = 16 << 20);

// Writes every byte, over short writes and EINTR.
Status write_all(BorrowedFd fd, std::string_view bytes);

// Replaces `path` by a synced temporary file and a rename; with `durable`, the directory is synced
// too, so that on return the new contents survive a power cut. After failure the old contents
// stand.
Status write_file_atomic(const std::string& path, std::string_view bytes, unsigned mode,
                         bool durable);

// mkdir -p with `mode` for what is created; an existing directory is success.
Status make_directories(const std::string& path, unsigned mode);

// Syncs the directory itself: renames and new names in it survive a power cut on return.
Status sync_directory(const std::string& path);

// unlink(2); a missing file is success.
Status remove_file(const std::string& path);

bool file_exists(const std::string& path);

}  // namespace holdfast
