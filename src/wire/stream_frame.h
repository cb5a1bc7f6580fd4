#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

// Docker's multiplexed stream (application/vnd.docker.multiplexed-stream): attach, exec and logs of
// a container without a terminal carry stdout and stderr in frames of an 8-byte header, {kind, 0,
// 0, 0, size as big-endian 32 bit}, and the payload.
namespace holdfast::wire {

enum class StreamKind : std::uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kSystemError = 3 };

constexpr std::size_t kFrameHeaderSize = 8;

std::string frame_header(StreamKind kind, std::uint32_t payload_size);
std::string encode_frame(StreamKind kind, std::string_view payload);

// Takes a multiplexed stream in pieces of any size and hands on each frame's payload as it comes,
// which may be in several parts. One owner; not thread-safe.
class FrameDecoder {
 public:
  using Sink = std::function<Status(StreamKind, std::string_view)>;

  // kInvalidArgument for a header that is none; the sink's error ends it too. After failure the
  // decoder is of no further use.
  Status feed(std::string_view bytes, const Sink& sink);

  // False in the middle of a header or payload: a stream that ends there was cut off.
  bool at_boundary() const { return header_.empty() && remaining_ == 0; }

 private:
  Status take_header(std::string_view& bytes);

  std::string header_;  // the part of a header seen so far
  StreamKind kind_ = StreamKind::kStdout;
  std::size_t remaining_ = 0;  // payload bytes still to come
};

}  // namespace holdfast::wire
