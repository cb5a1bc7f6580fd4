#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <fstream>

#include "fixture.h"
#include "os/inode_flags.h"
#include "os/mount.h"
#include "storage/volume/volumes.h"

// File systems named by type, o and device: each kind the machine can mount without a server, and
// what hangs.
namespace holdfast {
namespace {

using namespace std::chrono_literals;

const VolumeName kData("data");
const HolderId kOne("one"), kTwo("two");

class ROOT_ForeignMount : public VolumesFixture {
 protected:
  void make(const VolumeOptions& options) {
    auto made = volumes_->create({"data", "", options, {}});
    ASSERT_TRUE(made) << made.error().message;
  }
  // Writes through one mount and finds it again in the next.
  void expect_to_keep_files() {
    {
      auto mounted = volumes_->mount(kData, kOne);
      ASSERT_TRUE(mounted) << mounted.error().message;
      auto file = open_file_at(mounted->root, "kept", O_CREAT | O_WRONLY, 0644);
      ASSERT_TRUE(file) << file.error().message;
      ASSERT_TRUE(write_all(*file, "text"));
    }
    ASSERT_TRUE(volumes_->unmount(kData, kOne));
    EXPECT_EQ(mounts(), 0u);
    EXPECT_FALSE(file_exists(data_ + "/kept"));
    open_volumes();
    auto again = volumes_->mount(kData, kTwo);
    ASSERT_TRUE(again) << again.error().message;
    auto file = open_file_at(again->root, "kept", O_RDONLY);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(*read_all(*file), "text");
  }

  // A program mount.<name> in /usr/sbin of this program's own mount namespace.
  void install_helper(const std::string& name, const std::string& script) {
    std::string programs = directory_ / "programs";
    for (const char* folder : {"/upper", "/work"})
      ASSERT_TRUE(make_directories(programs + folder, 0755));
    std::string path = programs + "/upper/mount." + name;
    std::ofstream(path) << "#!/bin/sh\n" << script;
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    auto mount = mount_filesystem("overlay", "overlay",
                                  {{"lowerdir", "/usr/sbin", BorrowedFd(-1)},
                                   {"upperdir", programs + "/upper", BorrowedFd(-1)},
                                   {"workdir", programs + "/work", BorrowedFd(-1)}});
    ASSERT_TRUE(mount) << mount.error().message;
    auto attached = std::move(*mount).attach(BorrowedFd(AT_FDCWD), "/usr/sbin", "/usr/sbin");
    ASSERT_TRUE(attached) << attached.error().message;
    attached->commit();
    installed_ = true;
  }
  void TearDown() override {
    if (installed_) static_cast<void>(unmount("/usr/sbin", true));
    VolumesFixture::TearDown();
  }

  std::string data_ = root_ + "/volumes/data/_data";
  bool installed_ = false;
};

TEST_F(ROOT_ForeignMount, Ext4ThroughALoopDevice) {
  make({{"type", "ext4"}, {"device", make_ext4("image", 16)}, {"o", "noatime,data=journal"}});
  expect_to_keep_files();
}

TEST_F(ROOT_ForeignMount, BtrfsThroughALoopDevice) {
  make({{"type", "btrfs"},
        {"device", make_image("image", 128, {"mkfs.btrfs", "-q"})},
        {"o", "compress=zstd:1,nossd"}});
  expect_to_keep_files();
}

TEST_F(ROOT_ForeignMount, XfsThroughALoopDevice) {
  make({{"type", "xfs"}, {"device", make_image("image", 320, {"mkfs.xfs", "-q"})}});
  expect_to_keep_files();
}

TEST_F(ROOT_ForeignMount, OverlayOfDirectoriesWhoseNamesAreLong) {
  std::string layers;
  for (int i = 0; i < 4; ++i) {
    std::string layer = directory_ / (std::string(200, static_cast<char>('a' + i)) + ":x");
    ASSERT_TRUE(make_directories(layer, 0755));
    std::ofstream(layer + "/layer" + std::to_string(i)) << i;
    for (char c : layer) layers += c == ':' ? std::string("\\:") : std::string(1, c);
    if (i < 3) layers += ':';
  }
  for (const char* folder : {"upper", "work"})
    ASSERT_TRUE(make_directories(directory_ / folder, 0755));
  make({{"type", "overlay"},
        {"device", "overlay"},
        {"o", "lowerdir=" + layers + ",upperdir=" + directory_ / "upper" +
                  ",workdir=" + directory_ / "work"}});
  expect_to_keep_files();
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(read_file(data_ + "/layer" + std::to_string(i)).value_or("missing"),
              std::to_string(i));
  EXPECT_TRUE(file_exists(directory_ / "upper/kept"));
}

TEST_F(ROOT_ForeignMount, FlagsReachTheMount) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "nosuid,nodev,noexec,noatime,size=4m"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_TRUE(mounted) << mounted.error().message;
  auto entry = mount_of(mounted->root);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->options, "rw,nosuid,nodev,noexec,noatime");
  EXPECT_NE(entry->super_options.find("size=4096k"), std::string::npos);
}

TEST_F(ROOT_ForeignMount, NobodyWritesBeneathAMountPoint) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}});
  if (::mkdir((data_ + "/beneath").c_str(), 0755) == 0 || errno != EPERM)
    FAIL() << "the bare directory takes what should be on the volume";
  ASSERT_TRUE(volumes_->mount(kData, kOne));
  ASSERT_EQ(::mkdir((data_ + "/within").c_str(), 0755), 0);
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_NE(::mkdir((data_ + "/beneath").c_str(), 0755), 0);
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(trash_is_gone());
}

// As a daemon leaves it that was killed over the start of a container.
TEST_F(ROOT_ForeignMount, WhatNobodyUsesIsUnmountedInTheBackground) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}});
  ASSERT_TRUE(volumes_->create({"used", "", {{"type", "tmpfs"}, {"device", "tmpfs"}}, {}}));
  ASSERT_TRUE(volumes_->mount(kData, kOne));
  ASSERT_TRUE(volumes_->mount(VolumeName("used"), kTwo));
  ASSERT_EQ(mounts(), 2u);
  open_volumes();
  ASSERT_TRUE(volumes_->remount(VolumeName("used"), kTwo));
  volumes_->start_background();
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (mounts() != 1 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(mounts_at(data_), 0u);
  EXPECT_EQ(mounts_at(root_ + "/volumes/used/_data"), 1u);
}

TEST_F(ROOT_ForeignMount, MountPointsOfACopyAreMarkedOnUse) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}});
  auto directory = *open_file(root_ + "/volumes/data", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(set_immutable(directory, "_data", false));  // as tools that know no flags copy it
  open_volumes();
  ASSERT_TRUE(volumes_->mount(kData, kOne));
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_NE(::mkdir((data_ + "/beneath").c_str(), 0755), 0);
}

TEST_F(ROOT_ForeignMount, SourceThatVanishesBetweenCreationAndUse) {
  ASSERT_TRUE(make_directories(directory_ / "host", 0755));
  make({{"type", "none"}, {"device", directory_ / "host"}, {"o", "bind"}});
  ASSERT_EQ(::rmdir((directory_ / "host").c_str()), 0);
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted);
  EXPECT_TRUE(mounted.error().message.ends_with("no such file or directory"))
      << mounted.error().message;
  ASSERT_TRUE(make_directories(directory_ / "host", 0755));
  EXPECT_TRUE(volumes_->mount(kData, kOne));
}

TEST_F(ROOT_ForeignMount, UnknownTypesSayWhoKnowsThem) {
  make({{"type", "nosuchfs"}, {"device", "x"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted);
  EXPECT_NE(mounted.error().message.find("mount x:" + data_ + ": no such device"),
            std::string::npos)
      << mounted.error().message;
}

TEST_F(ROOT_ForeignMount, ProgramsMountWhatTheKernelDoesNot) {
  install_helper("hftest",
                 "[ \"$3\" = -o ] || exit 9\nexec mount -t tmpfs -o \"$4\" \"$1\" \"$2\"\n");
  make({{"type", "hftest"}, {"device", "some-device"}, {"o", "size=3m,nosuid,noauto"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_TRUE(mounted) << mounted.error().message;
  auto entry = mount_of(mounted->root);
  EXPECT_EQ(entry->source, "some-device");
  EXPECT_NE(entry->super_options.find("size=3072k"), std::string::npos);
  EXPECT_NE(entry->options.find("nosuid"), std::string::npos);
}

TEST_F(ROOT_ForeignMount, WhatAProgramSaysIsInTheError) {
  install_helper("hftest", "echo 'the moon is full' >&2; exit 32\n");
  make({{"type", "hftest"}, {"device", "some-device"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted);
  EXPECT_NE(mounted.error().message.find("mount.hftest: the moon is full"), std::string::npos)
      << mounted.error().message;
}

TEST_F(ROOT_ForeignMount, ProgramsThatMountNothingAreNotBelieved) {
  install_helper("hftest", "exit 0\n");
  make({{"type", "hftest"}, {"device", "some-device"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted) << "never the bare directory";
  EXPECT_NE(mounted.error().message.find("ended without a mount"), std::string::npos);
}

TEST_F(ROOT_ForeignMount, ProgramThatHangsIsKilledAndBlocksNobodyElse) {
  deadlines_ = MountDeadlines::within(400ms);
  open_volumes();
  install_helper("hftest", "mount -t tmpfs half \"$2\"; sleep 600\n");
  make({{"type", "hftest"}, {"device", "some-device"}});
  ASSERT_TRUE(volumes_->create({"other", "", {{"type", "tmpfs"}, {"device", "tmpfs"}}, {}}));
  std::thread hanging([&] {
    auto mounted = volumes_->mount(kData, kOne);
    ASSERT_FALSE(mounted);
    EXPECT_EQ(mounted.error().code, Code::kDeadlineExceeded);
    EXPECT_NE(mounted.error().message.find(
                  "volume \"data\": \"some-device\" was not mounted within 0.4 seconds"),
              std::string::npos)
        << mounted.error().message;
  });
  EXPECT_TRUE(volumes_->mount(VolumeName("other"), kTwo));
  EXPECT_EQ(volumes_->list().size(), 2u);
  EXPECT_TRUE(volumes_->get(kData));
  hanging.join();
  EXPECT_EQ(mounts_at(data_), 0u) << "what it had mounted is gone";
  ASSERT_TRUE(volumes_->remove(kData));
}

TEST_F(ROOT_ForeignMount, SizesAreThoseOfTheFileSystem) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=8m"}});
  EXPECT_EQ(volumes_->size(kData, 10s), std::nullopt);
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_TRUE(mounted);
  auto file = *open_file_at(mounted->root, "f", O_CREAT | O_WRONLY, 0644);
  ASSERT_TRUE(write_all(file, std::string(1 << 20, 'x')));
  open_volumes();  // a size may be some seconds old
  EXPECT_EQ(volumes_->size(kData, 10s), std::uint64_t{1 << 20});
  // A directory of the host is not the volume's own.
  ASSERT_TRUE(
      volumes_->create({"bound", "", {{"type", "none"}, {"device", "/usr"}, {"o", "bind"}}, {}}));
  ASSERT_TRUE(volumes_->mount(VolumeName("bound"), kOne));
  EXPECT_EQ(volumes_->size(VolumeName("bound"), 10s), std::nullopt);
}

}  // namespace
}  // namespace holdfast
