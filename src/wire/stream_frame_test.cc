#include "wire/stream_frame.h"

#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

struct Collected {
  std::string out;
  std::string err;
  FrameDecoder::Sink sink() {
    return [this](StreamKind kind, std::string_view part) -> Status {
      (kind == StreamKind::kStderr ? err : out).append(part);
      return {};
    };
  }
};

TEST(StreamFrame, HeaderIsKindAndBigEndianSize) {
  EXPECT_EQ(frame_header(StreamKind::kStderr, 0x01020304),
            std::string("\x02\0\0\0\x01\x02\x03\x04", 8));
  EXPECT_EQ(encode_frame(StreamKind::kStdout, "hi"), std::string("\x01\0\0\0\0\0\0\x02hi", 10));
}

TEST(StreamFrame, DecodesPiecesOfAnySize) {
  std::string stream = encode_frame(StreamKind::kStdout, "one ") +
                       encode_frame(StreamKind::kStderr, "bad") +
                       encode_frame(StreamKind::kStdout, "") +
                       encode_frame(StreamKind::kStdout, std::string(300, 'x'));
  for (std::size_t step = 1; step <= stream.size(); step += 3) {
    Collected collected;
    FrameDecoder decoder;
    for (std::size_t at = 0; at < stream.size(); at += step)
      ASSERT_TRUE(decoder.feed(std::string_view(stream).substr(at, step), collected.sink()));
    EXPECT_EQ(collected.out, "one " + std::string(300, 'x')) << step;
    EXPECT_EQ(collected.err, "bad") << step;
    EXPECT_TRUE(decoder.at_boundary());
  }
}

TEST(StreamFrame, KnowsThatItWasCutOff) {
  std::string stream = encode_frame(StreamKind::kStdout, "hello");
  for (std::size_t length = 1; length < stream.size(); ++length) {
    Collected collected;
    FrameDecoder decoder;
    ASSERT_TRUE(decoder.feed(std::string_view(stream).substr(0, length), collected.sink()));
    EXPECT_FALSE(decoder.at_boundary()) << length;
  }
}

TEST(StreamFrame, RefusesAnUnknownKind) {
  Collected collected;
  FrameDecoder decoder;
  auto status = decoder.feed(std::string("\x07\0\0\0\0\0\0\x01x", 9), collected.sink());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
  EXPECT_EQ(status.error().message, "Unrecognized input header: 7");
}

}  // namespace
}  // namespace holdfast::wire
