#include "client/image_reference.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

TEST(ImageReference, TakesNamesApart) {
  auto plain = parse_image_reference("busybox").value();
  EXPECT_EQ(plain.name, "busybox");
  EXPECT_FALSE(plain.has_tag_or_digest());
  EXPECT_EQ(plain.canonical(), "docker.io/library/busybox");
  EXPECT_EQ(plain.registry(), "docker.io");
  auto local = parse_image_reference("localhost:5000/a/b:v1").value();
  EXPECT_EQ(local.name, "localhost:5000/a/b");
  EXPECT_EQ(local.tag, "v1");
  EXPECT_EQ(local.registry(), "localhost:5000");
  EXPECT_EQ(local.canonical(), "localhost:5000/a/b:v1");
  std::string digest = "sha256:" + std::string(64, 'a');
  auto pinned = parse_image_reference("user/x@" + digest).value();
  EXPECT_EQ(pinned.tag_or_digest(), digest);
  EXPECT_EQ(pinned.canonical(), "docker.io/user/x@" + digest);
  EXPECT_EQ(parse_image_reference("docker.io/library/busybox:1").value().familiar(), "busybox:1");
}

TEST(ImageReference, RefusesInDockersWords) {
  for (std::string_view text :
       {"", ":", "a:", "a b", "-a", "a//b", "a/", "a:b:c!", "a@sha256:12", "a@"})
    EXPECT_EQ(parse_image_reference(text).error().message, "invalid reference format") << text;
  EXPECT_EQ(parse_image_reference("Busybox").error().message,
            "invalid reference format: repository name (library/Busybox) must be lowercase");
}

TEST(ImageReference, HubHasAKeyOfItsOwn) {
  EXPECT_EQ(auth_key("docker.io"), "https://index.docker.io/v1/");
  EXPECT_EQ(auth_key("localhost:5000"), "localhost:5000");
}

}  // namespace
}  // namespace holdfast::client
