#include "base/base64.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Base64, MatchesRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto [plain, text] : vectors) {
    EXPECT_EQ(base64_encode(plain), text);
    EXPECT_EQ(base64_decode(text).value(), plain);
    std::string unpadded = text;
    unpadded.erase(unpadded.find_last_not_of('=') + 1);
    EXPECT_EQ(base64_decode(unpadded).value(), plain);
  }
  EXPECT_EQ(base64url_encode("\xfb\xff"), "-_8=");
  EXPECT_EQ(base64_decode("-_8=").value(), "\xfb\xff");
  EXPECT_EQ(base64_decode("+/8=").value(), "\xfb\xff");
}

TEST(Base64, SaysWhereItIsWrong) {
  EXPECT_EQ(base64_decode("Zm!v").error().message, "illegal base64 data at input byte 2");
  EXPECT_EQ(base64_decode("Zm9vZ").error().message, "illegal base64 data at input byte 5");
  EXPECT_EQ(base64_decode("Zg=a").error().message, "illegal base64 data at input byte 2");
  EXPECT_EQ(base64_decode("Z===").error().code, Code::kInvalidArgument);
  EXPECT_EQ(base64_decode("Zm9v\n").error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace holdfast
