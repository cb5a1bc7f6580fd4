#include "client/run/secret_spec.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

std::string parsed(std::string_view text) {
  auto secret = parse_secret_spec(text);
  return secret ? json::serialize(*secret) : secret.error().message;
}

TEST(SecretSpec, TakesDockersAndPodmansForms) {
  EXPECT_EQ(parsed("db"), R"({"Source":"db"})");
  EXPECT_EQ(parsed("source=db"), R"({"Source":"db"})");
  EXPECT_EQ(parsed("src=db,target=pw"), R"({"Source":"db","Target":"pw"})");
  EXPECT_EQ(parsed("db,target=/etc/pw,uid=1000,gid=0,mode=0400"),
            R"({"Source":"db","Target":"/etc/pw","UID":"1000","GID":"0","Mode":256})");
  EXPECT_EQ(parsed("target=pw,SOURCE=db"), R"({"Target":"pw","Source":"db"})");
  EXPECT_EQ(parsed("db,type=mount"), R"({"Source":"db"})");
  EXPECT_EQ(parsed("db,\"target=a,b\""), R"({"Source":"db","Target":"a,b"})");
}

TEST(SecretSpec, ReadsModesAsOctal) {
  for (const char* mode : {"400", "0400", "00400"})
    EXPECT_EQ(parsed(fmt::format("db,mode={}", mode)), R"({"Source":"db","Mode":256})") << mode;
}

TEST(SecretSpec, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {"", "source is required"},
      {"target=x", "source is required"},
      {",target=x", "source is required"},
      {"db,x", "invalid field 'x' must be a key=value pair"},
      {"db,foo=1", "invalid field in secret request: foo"},
      {"db,target=", "invalid value for 'target': value is empty"},
      {"db,target=a,target=b", "'target' is given more than once in a secret request"},
      {"db,source=b", "'source' is given more than once in a secret request"},
      {"db,uid=root", "invalid uid \"root\": give a number from 0 to 4294967294"},
      {"db,gid=-1", "invalid gid \"-1\": give a number from 0 to 4294967294"},
      {"db,uid=4294967295", "invalid uid \"4294967295\": give a number from 0 to 4294967294"},
      {"db,type=file", "invalid secret type \"file\": must be \"mount\""},
  };
  for (auto [text, message] : wrong) EXPECT_EQ(parsed(text), message) << text;
  for (const char* mode : {"9", "x", "01000", "0o400", "-1", "4294967296"})
    EXPECT_TRUE(parsed(fmt::format("db,mode={}", mode)).starts_with("invalid mode specified"))
        << mode;
  EXPECT_TRUE(parsed("db,type=env").starts_with("secret type \"env\" is not supported"));
}

}  // namespace
}  // namespace holdfast::client
