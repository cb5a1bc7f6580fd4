#include "client/docker_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace holdfast::client {
namespace {

class DockerConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-config-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(std::string_view text, const std::string& name = "config.json") {
    std::ofstream(directory_ + "/" + name) << text;
  }
  std::string directory_;
};

TEST_F(DockerConfigTest, MissingFileIsEmpty) {
  auto config = DockerConfig::load(directory_);
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->auth_for("docker.io")->empty());
}

TEST_F(DockerConfigTest, BrokenFileIsAnError) {
  write("{");
  auto config = DockerConfig::load(directory_);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find(directory_), std::string::npos);
}

TEST_F(DockerConfigTest, ReadsAuthsWithAndWithoutScheme) {
  write(R"({"auths":{"https://localhost:5000":{"auth":"am9lOnBhc3M="},
           "https://index.docker.io/v1/":{"auth":"aHViOng="}}})");
  auto config = DockerConfig::load(directory_);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->auth_for("localhost:5000")->username, "joe");
  EXPECT_EQ(config->auth_for("localhost:5000")->password, "pass");
  EXPECT_EQ(config->auth_for("docker.io")->username, "hub");
  EXPECT_TRUE(config->auth_for("other:1")->empty());
}

TEST_F(DockerConfigTest, StoresAndErasesKeepingTheRest) {
  write(R"({"psFormat":"{{.ID}}"})");
  auto config = DockerConfig::load(directory_).value();
  ASSERT_TRUE(config.store("localhost:5000", {"joe", "pass", "", "", ""}));
  auto again = DockerConfig::load(directory_).value();
  EXPECT_EQ(again.text("psFormat"), "{{.ID}}");
  EXPECT_EQ(again.auth_for("localhost:5000")->password, "pass");
  struct stat status {};
  ASSERT_EQ(::stat(again.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_TRUE(again.erase("localhost:5000").value());
  EXPECT_FALSE(again.erase("localhost:5000").value());
  EXPECT_TRUE(DockerConfig::load(directory_)->auth_for("localhost:5000")->empty());
}

TEST_F(DockerConfigTest, AsksTheCredentialHelper) {
  write(
      "#!/bin/sh\nread server\necho "
      "\"{\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"$server\\\"}\"\n",
      "docker-credential-fake");
  ::chmod((directory_ + "/docker-credential-fake").c_str(), 0755);
  std::string path = std::string(::getenv("PATH"));
  ::setenv("PATH", (directory_ + ":" + path).c_str(), 1);
  write(R"({"credHelpers":{"reg:1":"fake"}})");
  auto auth = DockerConfig::load(directory_)->auth_for("reg:1");
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_TRUE(auth) << auth.error().message;
  EXPECT_EQ(auth->identity_token, "reg:1");
}

}  // namespace
}  // namespace holdfast::client
