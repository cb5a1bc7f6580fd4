#include "image/reference.h"

#include <gtest/gtest.h>

namespace holdfast::image {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(Reference, normalises_as_docker_does) {
  struct Case {
    std::string text, full, familiar;
  };
  for (const auto& [text, full, familiar] : std::vector<Case>{
           {"busybox", "docker.io/library/busybox", "busybox"},
           {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
           {"docker.io/busybox", "docker.io/library/busybox", "busybox"},
           {"index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"},
           {"user/app", "docker.io/user/app", "user/app"},
           {"localhost/app", "localhost/app", "localhost/app"},
           {"127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t"},
           {"[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"},
           {"UPPER/app", "UPPER/app", "UPPER/app"},
           {"app@" + kDigest, "docker.io/library/app@" + kDigest, "app@" + kDigest},
           {"app:t@" + kDigest, "docker.io/library/app:t@" + kDigest, "app:t@" + kDigest},
           {"library/app/sub", "docker.io/library/app/sub", "library/app/sub"},
           {"team/a__b-c--d.e", "docker.io/team/a__b-c--d.e", "team/a__b-c--d.e"},
       }) {
    auto reference = Reference::parse(text);
    ASSERT_TRUE(reference) << text << ": " << reference.error().message;
    EXPECT_EQ(reference->str(), full) << text;
    EXPECT_EQ(reference->familiar(), familiar) << text;
  }
}

TEST(Reference, refuses_in_dockers_words) {
  struct Case {
    std::string text, message;
  };
  for (const auto& [text, message] : std::vector<Case>{
           {"", "invalid reference format"},
           {"Busybox",
            "invalid reference format: repository name (library/Busybox) must be lowercase"},
           {"user/App:x", "invalid reference format: repository name (user/App) must be lowercase"},
           {"a:b:c", "invalid reference format"},
           {"app:", "invalid reference format"},
           {"app:-x", "invalid reference format"},
           {"app@sha256:12", "invalid reference format"},
           {"-app", "invalid reference format"},
           {"a..b", "invalid reference format"},
           {"a___b", "invalid reference format"},
           {"../etc", "invalid reference format"},
           {"a//b", "invalid reference format"},
           {"host:port/app", "invalid reference format"},
           {"app name", "invalid reference format"},
           {std::string(64, 'b'), "invalid repository name (" + std::string(64, 'b') +
                                      "), cannot specify 64-byte hexadecimal strings"},
       }) {
    auto reference = Reference::parse(text);
    ASSERT_FALSE(reference) << text;
    EXPECT_EQ(reference.error().message, message) << text;
    EXPECT_EQ(reference.error().code, Code::kInvalidArgument);
  }
  EXPECT_FALSE(Reference::parse(std::string(256, 'a')));
  EXPECT_TRUE(Reference::parse("host.x/" + std::string(255, 'a')));
}

TEST(Reference, default_tag_only_where_nothing_is_given) {
  EXPECT_EQ(Reference::parse("app")->with_default_tag().familiar(), "app:latest");
  EXPECT_EQ(Reference::parse("app:x")->with_default_tag().familiar(), "app:x");
  EXPECT_EQ(Reference::parse("app@" + kDigest)->with_default_tag().familiar(), "app@" + kDigest);
}

TEST(Reference, filter_patterns_match_as_path_match_does) {
  auto reference = *Reference::parse("127.0.0.1:5000/team/app:v1");
  EXPECT_TRUE(matches(*Reference::parse("busybox:1"), "busy*"));
  EXPECT_TRUE(matches(*Reference::parse("busybox:1"), "busybox"));
  EXPECT_TRUE(matches(*Reference::parse("busybox:1"), "b?sybox:[0-9]"));
  EXPECT_FALSE(matches(*Reference::parse("busybox:1"), "busybox:2"));
  EXPECT_TRUE(matches(reference, "*/*/app"));
  EXPECT_FALSE(matches(reference, "*app"));
  EXPECT_FALSE(matches(reference, "[unclosed"));
}

}  // namespace
}  // namespace holdfast::image
