#include "wire/registry_auth.h"

#include <gtest/gtest.h>

#include "base/base64.h"

namespace holdfast::wire {
namespace {

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
