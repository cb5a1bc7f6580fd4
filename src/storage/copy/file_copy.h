#pragma once

#include <sys/stat.h>

#include <cstdint>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Copies the content of regular file `source`, whose state is `status`, into the new, empty file
// `target`: shared blocks where the file system can (FICLONE) and `share_blocks` lets it, else
// inside the kernel, with holes kept. A file that shrinks meanwhile is copied as far as it goes.
// Returns the bytes of its apparent size.
Result<std::uint64_t> copy_file_content(BorrowedFd source, BorrowedFd target,
                                        const struct stat& status, bool share_blocks = true);

}  // namespace holdfast
