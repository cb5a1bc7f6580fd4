#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>

#include "fixture.h"
#include "storage/volume/volumes.h"

namespace holdfast {
namespace {

const VolumeName kData("data");
const HolderId kOne("one"), kTwo("two");

class ROOT_OptionMount : public VolumesFixture {
 protected:
  void make(const std::map<std::string, std::string>& options) {
    auto made = volumes_->create({"data", "", options, {}});
    ASSERT_TRUE(made) << made.error().message;
  }
  Result<std::string> write_through(const MountedVolume& mounted) {
    ASSIGN_OR_RETURN(auto file, open_file_at(mounted.root, "file", O_CREAT | O_WRONLY, 0644));
    RETURN_IF_ERROR(write_all(file, "text"));
    return mounted.path;
  }
};

TEST_F(ROOT_OptionMount, TmpfsIsThereFromTheFirstMountToTheLast) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m,uid=1000,noexec"}});
  EXPECT_EQ(mounts(), 0u);
  {
    auto first = volumes_->mount(kData, kOne);
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_TRUE(write_through(*first));
    auto second = volumes_->mount(kData, kTwo);
    ASSERT_TRUE(second);
    EXPECT_EQ(mounts(), 1u);
    struct stat status = {};
    ASSERT_EQ(::fstatat(second->root.get(), "file", &status, 0), 0);
    ASSERT_EQ(::fstat(second->root.get(), &status), 0);
    EXPECT_EQ(status.st_uid, 1000u);
    EXPECT_NE(mount_of(second->root)->options.find("noexec"), std::string::npos);
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_EQ(mounts(), 1u);
  ASSERT_TRUE(volumes_->unmount(kData, kOne));  // again: success
  EXPECT_EQ(mounts(), 1u);
  EXPECT_EQ(volumes_->remove(kData).error().code, Code::kConflict);
  ASSERT_TRUE(volumes_->unmount(kData, kTwo));
  EXPECT_EQ(mounts(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/volumes/data/_data"));
}

TEST_F(ROOT_OptionMount, MountsSurviveTheDaemonAndAreNotMadeTwice) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}});
  ASSERT_TRUE(write_through(*volumes_->mount(kData, kOne)));
  open_volumes();
  EXPECT_EQ(mounts(), 1u);
  {
    auto again = volumes_->mount(kData, kOne);
    ASSERT_TRUE(again);
    EXPECT_EQ(mounts(), 1u);
    struct stat status = {};
    EXPECT_EQ(::fstatat(again->root.get(), "file", &status, 0), 0);
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_EQ(mounts(), 0u);
}

TEST_F(ROOT_OptionMount, BindShowsTheDirectoryAndRemovalLeavesItAlone) {
  ASSERT_TRUE(make_directories(directory_ / "host", 0755));
  make({{"type", "none"}, {"device", directory_ / "host"}, {"o", "bind"}});
  ASSERT_TRUE(write_through(*volumes_->mount(kData, kOne)));
  EXPECT_EQ(read_file(directory_ / "host/file").value(), "text");
  open_volumes();  // killed meanwhile: the mount is left over
  ASSERT_TRUE(volumes_->remove(kData));
  volumes_.reset();
  EXPECT_EQ(mounts(), 0u);
  EXPECT_EQ(read_file(directory_ / "host/file").value(), "text");
}

TEST_F(ROOT_OptionMount, MissingBindSourceFailsInDockersWords) {
  make({{"type", "none"}, {"device", "/nonexistent"}, {"o", "bind"}});
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted);
  auto path = root_ + "/volumes/data/_data";
  EXPECT_EQ(mounted.error().message, "error while mounting volume '" + path +
                                         "': failed to mount local volume: mount /nonexistent:" +
                                         path + ", flags: 0x1000: no such file or directory");
  EXPECT_TRUE(volumes_->remove(kData));
}

TEST_F(ROOT_OptionMount, FileWithAnExt4IsMountedThroughOneLoopDevice) {
  auto image = make_ext4("image", 16);
  make({{"type", "ext4"}, {"device", image}, {"o", "loop,noatime"}});
  ASSERT_TRUE(write_through(*volumes_->mount(kData, kOne)));
  std::string source = mount_of(volumes_->mount(kData, kTwo)->root)->source;
  EXPECT_TRUE(source.starts_with("/dev/loop")) << source;
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(volumes_->unmount(kData, kTwo));
  EXPECT_EQ(mounts(), 0u);
  // What was written is in the file, and found again.
  auto again = volumes_->mount(kData, kOne);
  ASSERT_TRUE(again) << again.error().message;
  struct stat status = {};
  EXPECT_EQ(::fstatat(again->root.get(), "file", &status, 0), 0);
}

TEST_F(ROOT_OptionMount, ForeignMountIsNeverTakenForTheVolume) {
  make({{"type", "tmpfs"}, {"device", "tmpfs"}});
  ASSERT_TRUE(make_directories(directory_ / "other", 0755));
  auto foreign = DetachedMount::clone(BorrowedFd(AT_FDCWD), directory_ / "other", false)
                     .value()
                     .attach(BorrowedFd(AT_FDCWD), root_ + "/volumes/data/_data", "data");
  ASSERT_TRUE(foreign);
  auto mounted = volumes_->mount(kData, kOne);
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, Code::kFailedPrecondition);
}

TEST_F(ROOT_OptionMount, PopulateFillsTheMountedFileSystem) {
  auto image = make_ext4("image", 16);
  make({{"type", "ext4"}, {"device", image}});
  // mkfs leaves lost+found, and a volume with something in it isn't filled.
  {
    auto mounted = volumes_->mount(kData, kOne);
    ASSERT_TRUE(mounted);
    ASSERT_EQ(::unlinkat(mounted->root.get(), "lost+found", AT_REMOVEDIR), 0);
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(make_directories(directory_ / "source/sub", 0755));
  auto filled = volumes_->populate(kData, *open_file(directory_ / "source", O_RDONLY));
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_TRUE(*filled);
  EXPECT_EQ(mounts(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/volumes/data/_data"));
  auto mounted = volumes_->mount(kData, kOne);
  struct stat status = {};
  EXPECT_EQ(::fstatat(mounted->root.get(), "sub", &status, 0), 0);
}

TEST_F(ROOT_OptionMount, OwnersDevicesAndAclsAreCopiedAsTheyShould) {
  make({});
  std::string source = directory_ / "source";
  ASSERT_TRUE(make_directories(source, 0700));
  std::ofstream(source + "/owned") << "x";
  ASSERT_EQ(::chown((source + "/owned").c_str(), 999, 998), 0);
  ASSERT_EQ(::chmod((source + "/owned").c_str(), 06755), 0);
  ASSERT_EQ(::mknod((source + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  ASSERT_EQ(::chown(source.c_str(), 999, 998), 0);
  ASSERT_TRUE(*volumes_->populate(kData, *open_file(source, O_RDONLY)));
  struct stat status = {};
  std::string data = root_ + "/volumes/data/_data";
  ASSERT_EQ(::stat((data + "/owned").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 999u);
  EXPECT_EQ(status.st_gid, 998u);
  EXPECT_EQ(status.st_mode & 07777, 06755u);
  EXPECT_FALSE(file_exists(data + "/null"));
  ASSERT_EQ(::stat(data.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 999u);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
}

}  // namespace
}  // namespace holdfast
