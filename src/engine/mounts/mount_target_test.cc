#include "engine/mounts/mount_target.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class MountTarget : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-test-XXXXXX";
    base_ = ::mkdtemp(name);
    for (const char* folder : {"root/d", "volume/real/inner", "other"})
      fs::create_directories(base_ / folder);
    link("root/p", "/proc");
    link("root/memory", "dev/shm");
    link("root/to-volume", "/v/real");
    link("volume/p", "/proc/self");
    link("volume/up", "../etc");
    link("volume/link", "real");
    root_ = open("root");
    volume_ = open("volume");
    other_ = open("other");
  }
  void TearDown() override { fs::remove_all(base_); }

  void link(const std::string& name, const std::string& target) {
    fs::create_symlink(target, base_ / name);
  }
  UniqueFd open(const std::string& name) {
    auto fd = open_file(base_ / name, O_PATH);
    EXPECT_TRUE(fd);
    return std::move(*fd);
  }

  // "refused" for a place to be left alone.
  std::string find(const std::string& target, bool anonymous = false) {
    MountPoint mount;
    mount.target = target;
    mount.anonymous = anonymous;
    std::vector<ContainerMount> before(3);
    before[0] = {"/v", "", "", {}, volume_};
    before[1] = {"/v/real/inner", "", "", {}, other_};
    before[2] = {"/t", "tmpfs", "", {}, BorrowedFd(-1)};
    auto found = find_mount_target(mount, root_, before);
    return found ? *found : "refused";
  }

  fs::path base_;
  UniqueFd root_, volume_, other_;
};

TEST_F(MountTarget, FollowsTheImagesSymlinks) {
  EXPECT_EQ(find("/d/new"), "/d/new");
  EXPECT_EQ(find("/memory/x"), "/dev/shm/x");
  EXPECT_EQ(find("/to-volume/x"), "/v/real/x");
}

TEST_F(MountTarget, FollowsSymlinksOfTheMountsBeforeIt) {
  EXPECT_EQ(find("/v/link/x"), "/v/real/x");
  EXPECT_EQ(find("/v/up/x"), "/etc/x");
  EXPECT_EQ(find("/to-volume/../link"), "/v/real");
  EXPECT_EQ(find("/v/real/inner/link"), "/v/real/inner/link");  // what shows there has no link
  EXPECT_EQ(find("/t/p"), "/t/p");
}

TEST_F(MountTarget, LeavesTheKernelsDirectoriesAlone) {
  for (const char* target :
       {"/p", "/p/self", "/v/p", "/v/p/attr", "/v/link/../p", "/v/..", "/to-volume/../../p"})
    EXPECT_EQ(find(target), "refused") << target;
  link("root/s", "/sys");
  link("volume/n", "/dev/null");
  EXPECT_EQ(find("/s/x"), "refused");
  EXPECT_EQ(find("/v/n"), "refused");
}

TEST_F(MountTarget, OnlyWhatIsNamedMayCoverDevices) {
  EXPECT_EQ(find("/dev/null"), "/dev/null");
  EXPECT_EQ(find("/dev/null", true), "refused");
  EXPECT_EQ(find("/dev", true), "refused");
  EXPECT_EQ(find("/dev/shm", true), "/dev/shm");
}

}  // namespace
}  // namespace holdfast
