#include "wire/registry_auth.h"

#include <gtest/gtest.h>

#include "wire/base64.h"

namespace holdfast::wire {
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

TEST(Base64, RefusesWhatItIsNot) {
  EXPECT_FALSE(base64_decode("Zg=a"));
  EXPECT_FALSE(base64_decode("Z"));
  EXPECT_FALSE(base64_decode("Zm9v!"));
}

TEST(RegistryAuth, ComesBackAsItWent) {
  RegistryAuth auth{"joe", "s3>cret?", "localhost:5000", "", ""};
  auto back = decode_registry_auth(encode_registry_auth(auth));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->username, "joe");
  EXPECT_EQ(back->password, "s3>cret?");
  EXPECT_EQ(back->server_address, "localhost:5000");
  EXPECT_FALSE(back->empty());
}

TEST(RegistryAuth, NothingAndAnEmptyObjectAreAnonymous) {
  EXPECT_TRUE(decode_registry_auth("").value().empty());
  EXPECT_TRUE(decode_registry_auth("e30=").value().empty());
}

TEST(RegistryAuth, ReadsTheAuthMemberOfOlderClients) {
  std::string header = base64url_encode(R"({"auth":")" + base64_encode("joe:a:b") + "\"}");
  auto auth = decode_registry_auth(header);
  ASSERT_TRUE(auth);
  EXPECT_EQ(auth->username, "joe");
  EXPECT_EQ(auth->password, "a:b");
}

TEST(RegistryAuth, SaysWhatIsWrong) {
  for (std::string_view header : {"%%%", "bm90IGpzb24=", "WzFd"}) {
    auto auth = decode_registry_auth(header);
    ASSERT_FALSE(auth) << header;
    EXPECT_EQ(auth.error().code, Code::kInvalidArgument);
    EXPECT_TRUE(auth.error().message.starts_with("invalid X-Registry-Auth header: "));
  }
}

}  // namespace
}  // namespace holdfast::wire
