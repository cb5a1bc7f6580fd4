#include "storage/driver/plugin/plugin_mountpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class PluginMountpointTest : public testing::Test {
 protected:
  PluginMountpointTest() {
    fs::create_directories(own_ / "volumes/x");
    fs::create_directories(directory_ / "theirs/deep");
  }
  std::string refusal(const std::string& path) {
    auto opened = open_plugin_mountpoint(path, {own_, directory_ / "missing"});
    if (opened) return "";
    EXPECT_EQ(opened.error().code, Code::kPermissionDenied);
    EXPECT_NE(opened.error().message.find('"' + path + '"'), std::string::npos);
    return opened.error().message;
  }
  bool refused(const std::string& path, const std::string& why) {
    return refusal(path).find(why) != std::string::npos;
  }

  TemporaryDirectory directory_;
  const fs::path own_ = directory_ / "data";
};

TEST_F(PluginMountpointTest, DirectoriesOfItsOwnAreTaken) {
  EXPECT_EQ(refusal(directory_ / "theirs"), "");
  EXPECT_EQ(refusal(directory_ / "theirs/deep"), "");
  EXPECT_EQ(refusal(directory_ / "theirs/../theirs/deep/"), "");
}

TEST_F(PluginMountpointTest, SystemDirectoriesAreNot) {
  for (const char* path : {"/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/dev", "/proc", "/sys",
                           "/root", "/var", "/run", "/home", "/tmp", "/etc/", "/usr/../etc",
                           "/proc/self/root", "/proc/self/root/etc", "//"})
    EXPECT_TRUE(refused(path, "the system's directory")) << path << ": " << refusal(path);
  fs::create_directory_symlink("/etc", directory_ / "link");
  EXPECT_TRUE(refused(directory_ / "link", "the system's directory /etc"));
}

TEST_F(PluginMountpointTest, NothingOfTheKernels) {
  EXPECT_TRUE(refused("/proc/sys", "lies in /proc"));
  EXPECT_TRUE(refused("/sys/kernel", "lies in /sys"));
}

TEST_F(PluginMountpointTest, NothingOfOurs) {
  EXPECT_TRUE(refused(own_, "lies in"));
  EXPECT_TRUE(refused(own_ / "volumes/x", "lies in"));
  EXPECT_TRUE(refused(directory_ / "", "contains"));
  fs::create_directory_symlink(own_ / "volumes", directory_ / "theirs/sneaky");
  EXPECT_TRUE(refused(directory_ / "theirs/sneaky/x", "lies in"));
}

TEST_F(PluginMountpointTest, OnlyDirectoriesByAbsolutePath) {
  EXPECT_TRUE(refused("", "empty"));
  EXPECT_TRUE(refused("etc", "no absolute path"));
  EXPECT_TRUE(refused("../../etc", "no absolute path"));
  EXPECT_TRUE(refused(directory_ / "nowhere", "No such file or directory"));
  std::ofstream(directory_ / "file") << "x";
  EXPECT_TRUE(refused(directory_ / "file", "Not a directory"));
  EXPECT_TRUE(refused(std::string("/tmp/\0/x", 8), "no path"));
  EXPECT_TRUE(refused("/" + std::string(5000, 'x'), "no path"));
}

}  // namespace
}  // namespace holdfast
