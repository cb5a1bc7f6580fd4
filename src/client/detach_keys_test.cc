#include "client/detach_keys.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

TEST(DetachKeys, DefaultIsCtrlPCtrlQ) {
  auto keys = DetachKeys::parse("").value();
  std::string out;
  EXPECT_FALSE(keys.feed("ls\x10", out));
  EXPECT_EQ(out, "ls");
  EXPECT_TRUE(keys.feed("\x11", out));
  EXPECT_EQ(out, "ls");
}

TEST(DetachKeys, HeldBytesArePassedOnWhenTheSequenceBreaks) {
  auto keys = DetachKeys::parse("a,b,c").value();
  std::string out;
  EXPECT_FALSE(keys.feed("abaab", out));
  EXPECT_EQ(out, "aba");
  EXPECT_FALSE(keys.feed("x", out));
  EXPECT_EQ(out, "abaabx");
  EXPECT_TRUE(keys.feed("abc", out));
}

TEST(DetachKeys, ParsesControlKeys) {
  auto keys = DetachKeys::parse("ctrl-[,ctrl-_,ctrl-@").value();
  std::string out;
  EXPECT_TRUE(keys.feed(std::string("\x1b\x1f\0", 3), out));
  EXPECT_EQ(DetachKeys::parse("ctrl-10").error().message, "Unknown character: 'ctrl-10'");
  EXPECT_FALSE(DetachKeys::parse("a,,b"));
}

}  // namespace
}  // namespace holdfast::client
