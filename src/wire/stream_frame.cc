#include "wire/stream_frame.h"

#include <algorithm>

namespace holdfast::wire {

std::string frame_header(StreamKind kind, std::uint32_t payload_size) {
  std::string header(kFrameHeaderSize, '\0');
  header[0] = static_cast<char>(kind);
  for (unsigned i = 0; i < 4; ++i) header[4 + i] = static_cast<char>(payload_size >> (24 - 8 * i));
  return header;
}

std::string encode_frame(StreamKind kind, std::string_view payload) {
  std::string frame = frame_header(kind, static_cast<std::uint32_t>(payload.size()));
  frame.append(payload);
  return frame;
}

Status FrameDecoder::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (remaining_ == 0) {
      RETURN_IF_ERROR(take_header(bytes));
      continue;
    }
    std::string_view part = bytes.substr(0, remaining_);
    bytes.remove_prefix(part.size());
    remaining_ -= part.size();
    RETURN_IF_ERROR(sink(kind_, part));
  }
  return {};
}

Status FrameDecoder::take_header(std::string_view& bytes) {
  std::size_t wanted = std::min(kFrameHeaderSize - header_.size(), bytes.size());
  header_.append(bytes.substr(0, wanted));
  bytes.remove_prefix(wanted);
  if (header_.size() < kFrameHeaderSize) return {};
  auto kind = static_cast<unsigned char>(header_[0]);
  if (kind > static_cast<unsigned char>(StreamKind::kSystemError))
    return fail(Code::kInvalidArgument, "Unrecognized input header: {}", kind);
  kind_ = static_cast<StreamKind>(kind);
  for (std::size_t i = 4; i < kFrameHeaderSize; ++i)
    remaining_ = (remaining_ << 8) | static_cast<unsigned char>(header_[i]);
  header_.clear();
  return {};
}

}  // namespace holdfast::wire
