#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast::archive {

// Where a stream of bytes comes from: fills up to `size` bytes (at least one, unless at the end)
// and returns how many; 0 is the end. An error ends the operation that reads and is returned by it,
// so a source cancels by failing. Called from one thread at a time, not always the same.
using Source = std::function<Result<std::size_t>(char* buffer, std::size_t size)>;

// Where a stream of bytes goes. Blocking is back-pressure; an error ends the operation that writes.
using Sink = std::function<Status(std::string_view bytes)>;

// Reads a borrowed descriptor from its current offset to its end.
Source read_from(BorrowedFd fd);
Source read_from(std::string_view bytes);
Sink write_to(BorrowedFd fd);

}  // namespace holdfast::archive
