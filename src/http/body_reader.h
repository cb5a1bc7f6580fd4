#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::http {

// The body of an upload as it arrives: the connection fills it from the loop, one handler reads it
// on a thread that may block. What waits here is bounded: beyond kHighWater the connection stops
// reading its socket until half is taken.
class BodyReader {
 public:
  static constexpr std::size_t kHighWater = 512 << 10;

  // For the connection. `resume` is called, on the reader's thread, when there is room again.
  explicit BodyReader(std::function<void()> resume) : resume_(std::move(resume)) {}

  // Waits for bytes and takes up to `size`; 0 is the end of the body. kCancelled when the client
  // went away before its end, kInvalidArgument when the body's framing is broken; then for ever.
  Result<std::size_t> read(char* buffer, std::size_t size);

  // The rest, if it is at most `limit` bytes; else kResourceExhausted.
  Result<std::string> read_all(std::size_t limit);

  // For the connection, on the loop. push() returns false when the socket should not be read for
  // now.
  bool push(std::string_view bytes);
  void finish();
  void abort(Error error);

 private:
  const std::function<void()> resume_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable arrived_;
  std::string bytes_;
  std::size_t taken_ = 0;  // of bytes_
  bool paused_ = false;
  bool finished_ = false;
  std::optional<Error> error_;
};

}  // namespace holdfast::http
