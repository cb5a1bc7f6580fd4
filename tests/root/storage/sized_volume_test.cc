#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fstream>

#include "fixture.h"
#include "os/btrfs.h"
#include "os/ext4.h"
#include "storage/driver/local/local_driver.h"

// Volumes with a size limit, on data roots of each kind: ext4 and XFS without quotas (this
// machine's kernel has none for them), where they are image files, and btrfs.
namespace holdfast {
namespace {

using namespace std::chrono_literals;

const VolumeName kData("data");
const HolderId kOne("one"), kTwo("two");
constexpr std::uint64_t kMiB = 1 << 20;

class ROOT_SizedVolume : public VolumesFixture, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    MountingTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_NO_FATAL_FAILURE(mount_data_root(GetParam(), root_));
    open_volumes();
  }
  void TearDown() override {
    directories_.reset();
    VolumesFixture::TearDown();
  }
  // A file system of its own at `root`.
  void mount_data_root(const std::string& type, const std::string& root) {
    std::vector<std::string> command = {"mkfs." + type, "-q"};
    if (type == "ext4") command.insert(command.end(), {"-F", "-m", "0"});
    mount_image(make_image(type + ".disk", 640, command), type, root);
  }
  bool on_btrfs() const { return std::string_view(GetParam()) == "btrfs"; }

  VolumePtr make(const std::string& size) {
    auto made = volumes_->create({"data", "", {{"size", size}}, {}});
    EXPECT_TRUE(made) << made.error().message;
    return made ? made->volume : nullptr;
  }
  MountedVolume mounted(const HolderId& holder = kOne) {
    auto mounted = volumes_->mount(kData, holder);
    EXPECT_TRUE(mounted) << mounted.error().message;
    return mounted ? std::move(*mounted) : MountedVolume{};
  }
  // Fills a file until there is no more room; how many bytes there were.
  std::uint64_t fill(BorrowedFd root, const std::string& name) {
    auto file = *open_file_at(root, name, O_CREAT | O_WRONLY | O_APPEND, 0644);
    std::string block(4096, 'x');
    while (::write(file.get(), block.data(), block.size()) > 0) continue;
    EXPECT_EQ(errno, on_btrfs() ? EDQUOT : ENOSPC);
    EXPECT_EQ(::fsync(file.get()), 0) << "what was taken is kept: " << errno;
    struct stat status = {};
    ::fstat(file.get(), &status);
    return static_cast<std::uint64_t>(status.st_size);
  }
  static bool filled(std::uint64_t bytes, std::uint64_t limit) {
    return bytes <= limit && bytes + 128 * 1024 >= limit;  // what describes a file takes room, too
  }
  // What Volumes does when a client changes options.
  Status update(const VolumePtr& volume, const std::string& size, bool mounted) {
    if (!directories_) {
      directories_ = std::make_unique<VolumeDirectories>(*VolumeDirectories::open(root_));
      driver_ = std::make_unique<LocalDriver>(*directories_);
    }
    Volume to = *volume;
    to.options["size"] = size;
    auto directory = directories_->open_volume(volume->name);
    return driver_->update(*volume, to, *directory, mounted);
  }
  json::Object status(const VolumePtr& volume) {
    VolumeDirectories directories = *VolumeDirectories::open(root_);
    return LocalDriver(directories).status(*volume, *directories.open_volume(volume->name));
  }
  std::size_t loops_of_images() {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/block")) {
      auto text = read_file(entry.path().string() + "/loop/backing_file");
      count += text && text->starts_with(root_ + "/");
    }
    return count;
  }
  bool loops_go() {
    auto deadline = std::chrono::steady_clock::now() + 20s;
    while (loops_of_images() > 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    return loops_of_images() == 0;
  }
  std::string run(std::vector<std::string> command) {
    ProcessOptions options;
    options.argv = std::move(command);
    auto output = run_command(options);
    EXPECT_TRUE(output && output->status.success()) << (output ? output->err : "");
    return output ? output->out : "";
  }

  std::string data_ = root_ + "/volumes/data/_data";
  std::unique_ptr<VolumeDirectories> directories_;
  std::unique_ptr<LocalDriver> driver_;
};

INSTANTIATE_TEST_SUITE_P(DataRoots, ROOT_SizedVolume, testing::Values("ext4", "xfs", "btrfs"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ROOT_SizedVolume, BeginsEmptyWithAllOfItsSize) {
  make("10000001");  // rounded up to a block
  auto root = mounted();
  EXPECT_TRUE(std::filesystem::is_empty(data_));
  struct stat status = {};
  ASSERT_EQ(::stat(data_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755u);
  EXPECT_EQ(status.st_uid, 0u);
  if (on_btrfs()) return;  // whose statfs speaks of the whole disk
  struct statvfs room = {};
  ASSERT_EQ(::statvfs(data_.c_str(), &room), 0);
  EXPECT_EQ(room.f_bavail * room.f_frsize, 2442u * 4096);
}

TEST_P(ROOT_SizedVolume, WritesEndAtTheLimit) {
  make("20m");
  auto root = mounted();
  auto bytes = fill(root.root, "file");
  EXPECT_TRUE(filled(bytes, 20 * kMiB)) << bytes;
  ASSERT_EQ(::unlinkat(root.root.get(), "file", 0), 0);
  auto readable = *open_file_at(root.root, ".", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::syncfs(readable.get()), 0);
  bytes = fill(root.root, "again");
  EXPECT_TRUE(filled(bytes, 20 * kMiB)) << bytes;
}

TEST_P(ROOT_SizedVolume, OneVolumesLimitIsNobodyElses) {
  make("8m");
  ASSERT_TRUE(volumes_->create({"other", "", {{"size", "8m"}}, {}}));
  ASSERT_TRUE(volumes_->create({"plain", "", {}, {}}));
  fill(mounted().root, "file");
  auto other = volumes_->mount(VolumeName("other"), kOne);
  ASSERT_TRUE(other);
  EXPECT_TRUE(filled(fill(other->root, "file"), 8 * kMiB));
  auto plain = volumes_->mount(VolumeName("plain"), kOne);
  auto file = *open_file_at(plain->root, "file", O_CREAT | O_WRONLY, 0644);
  EXPECT_TRUE(write_all(file, std::string(20 * kMiB, 'x')));
}

TEST_P(ROOT_SizedVolume, GrowsAndShrinksInUse) {
  auto volume = make("8m");
  auto root = mounted();
  EXPECT_TRUE(filled(fill(root.root, "file"), 8 * kMiB));
  ASSERT_TRUE(update(volume, "24m", true)) << update(volume, "24m", true).error().message;
  EXPECT_TRUE(filled(fill(root.root, "file"), 24 * kMiB));
  auto refused = update(volume, "16m", true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
  EXPECT_NE(refused.error().message.find("option \"size\": 16MiB is less than the 2"),
            std::string::npos)
      << refused.error().message;
  ASSERT_EQ(::unlinkat(root.root.get(), "file", 0), 0);
  auto readable = *open_file_at(root.root, ".", O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::syncfs(readable.get()), 0);
  ASSERT_TRUE(update(volume, "16m", true)) << update(volume, "16m", true).error().message;
  EXPECT_TRUE(filled(fill(root.root, "file"), 16 * kMiB));
  ASSERT_TRUE(update(volume, "16m", true)) << "repeating is success";
}

TEST_P(ROOT_SizedVolume, GrowsAndShrinksUnused) {
  auto volume = make("8m");
  {
    auto root = mounted();
    fill(root.root, "file");
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_EQ(update(volume, "4m", false).error().code, Code::kConflict);
  ASSERT_TRUE(update(volume, "12m", false));
  EXPECT_FALSE(update(volume, "none", false));
}

// The sidecar says what holds: a daemon that was killed before or after writing it.
TEST_P(ROOT_SizedVolume, TheRecordsSizeIsInForceAfterTheNextMount) {
  auto volume = make("8m");
  { mounted(); }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(update(volume, "100m", false));
  open_volumes();
  auto root = mounted();
  EXPECT_TRUE(filled(fill(root.root, "file"), 8 * kMiB));
}

TEST_P(ROOT_SizedVolume, SurvivesTheDaemonAndAReboot) {
  make("8m");
  {
    auto root = mounted();
    ASSERT_TRUE(write_all(*open_file_at(root.root, "kept", O_CREAT | O_WRONLY, 0644), "text"));
  }
  open_volumes();  // killed: what it had mounted still is
  {
    auto root = mounted(kTwo);
    EXPECT_EQ(*read_file(data_ + "/kept"), "text");
  }
  EXPECT_LE(mounts_at(data_), 1u);
  while (mounts_at(data_) > 0) ASSERT_TRUE(unmount(data_, true));  // all a reboot leaves
  open_volumes();
  auto root = mounted();
  EXPECT_EQ(*read_all(*open_file_at(root.root, "kept", O_RDONLY)), "text");
  EXPECT_TRUE(filled(fill(root.root, "file"), 8 * kMiB));
}

TEST_P(ROOT_SizedVolume, RemovalGivesEverythingBack) {
  make("8m");
  {
    auto root = mounted();
    fill(root.root, "file");
    // Whoever may write into it may make subvolumes, too.
    if (on_btrfs()) {
      run({"rm", data_ + "/file"});
      run({"sync", "-f", data_});
      run({"btrfs", "subvolume", "create", data_ + "/nested"});
      EXPECT_TRUE(filled(fill(root.root, "nested/file"), 8 * kMiB)) << "nor by these escape it";
    }
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(trash_is_gone());
  EXPECT_TRUE(loops_go());
  if (!on_btrfs()) return;
  EXPECT_EQ(run({"btrfs", "subvolume", "list", root_}), "");
  EXPECT_EQ(run({"btrfs", "qgroup", "show", root_}).find("18502/"), std::string::npos);
}

TEST_P(ROOT_SizedVolume, RemovalAfterACrashWhileMounted) {
  make("8m");
  { mounted(); }
  open_volumes();
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(trash_is_gone());
  EXPECT_EQ(mounts_at(data_), 0u);
  EXPECT_TRUE(loops_go());
}

TEST_P(ROOT_SizedVolume, IsFilledOnFirstUse) {
  make("8m");
  std::string source = directory_ / "source";
  ASSERT_TRUE(make_directories(source + "/sub", 0755));
  std::ofstream(source + "/sub/file") << std::string(3 * kMiB, 'x');
  ASSERT_EQ(::chown((source + "/sub").c_str(), 999, 998), 0);
  auto done = volumes_->populate(kData, *open_file(source, O_RDONLY));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(*done);
  auto root = mounted();
  struct stat status = {};
  ASSERT_EQ(::stat((data_ + "/sub").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 999u);
  EXPECT_EQ(std::filesystem::file_size(data_ + "/sub/file"), 3 * kMiB);
}

TEST_P(ROOT_SizedVolume, TooSmallForItsContentNothingIsHalfDone) {
  make("4m");
  std::string source = directory_ / "source";
  ASSERT_TRUE(make_directories(source, 0755));
  for (int i = 0; i < 10; ++i)
    std::ofstream(source + "/file" + std::to_string(i)) << std::string(kMiB, 'x');
  auto done = volumes_->populate(kData, *open_file(source, O_RDONLY));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kResourceExhausted);
  EXPECT_NE(done.error().message.find("volume \"data\" is limited to 4MiB"), std::string::npos)
      << done.error().message;
  auto root = mounted();
  EXPECT_TRUE(std::filesystem::is_empty(data_));
}

TEST_P(ROOT_SizedVolume, TellsLimitAndUse) {
  auto volume = make("16m");
  auto shown = status(volume);
  EXPECT_EQ(json::int_or(shown, "Limit"), 16 * 1048576);
  EXPECT_LT(json::int_or(shown, "Used", -1), 65536);
  EXPECT_EQ(json::string_or(shown, "Backing"), on_btrfs() ? "btrfs quota group" : "image file");
  {
    auto root = mounted();
    auto file = *open_file_at(root.root, "file", O_CREAT | O_WRONLY, 0644);
    ASSERT_TRUE(write_all(file, std::string(5 * kMiB, 'x')));
    ASSERT_EQ(::fsync(file.get()), 0);
    ASSERT_EQ(::syncfs(file.get()), 0);
  }
  auto near = [](std::int64_t bytes) {
    return bytes >= 5 * 1048576 && bytes < 5 * 1048576 + 131072;
  };
  EXPECT_TRUE(near(json::int_or(status(volume), "Used")));
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  EXPECT_TRUE(near(json::int_or(status(volume), "Used"))) << "unmounted, too";
  auto size = volumes_->size(kData, 10s);
  ASSERT_TRUE(size);
  EXPECT_TRUE(near(static_cast<std::int64_t>(*size)));
}

// A copy made with ordinary tools, put onto a data root of another kind.
TEST_P(ROOT_SizedVolume, FilesCopiedHereGetTheirLimitOnFirstUse) {
  make("8m");
  volumes_.reset();
  run({"rm", "-f", root_ + "/volumes/data/_data.ext4"});
  auto directory = *open_file(root_ + "/volumes/data", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(set_immutable(directory, "_data", false));
  if (on_btrfs()) run({"btrfs", "subvolume", "delete", data_});
  ASSERT_TRUE(make_directories(data_ + "/sub", 0755));
  std::ofstream(data_ + "/sub/file") << std::string(2 * kMiB, 'x');
  ASSERT_EQ(::chown((data_ + "/sub/file").c_str(), 999, 998), 0);
  open_volumes();
  auto root = mounted();
  struct stat status = {};
  ASSERT_EQ(::stat((data_ + "/sub/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 999u);
  EXPECT_TRUE(filled(2 * kMiB + fill(root.root, "file"), 8 * kMiB));
  for (const char* left : {"/_data.new", "/_data.old", "/_data.ext4.new"})
    EXPECT_FALSE(file_exists(root_ + "/volumes/data" + left)) << left;
}

// Beyond what it was formatted for, an image grows by resize2fs; in use only where the daemon has
// CAP_SYS_RESOURCE.
TEST_P(ROOT_SizedVolume, GrowsBeyondItsHeadroom) {
  auto volume = make("8m");
  {
    auto root = mounted();
    ASSERT_TRUE(write_all(*open_file_at(root.root, "kept", O_CREAT | O_WRONLY, 0644), "text"));
  }
  bool in_use = on_btrfs() || has_capability(24);
  auto grown = update(volume, "6g", true);
  EXPECT_EQ(grown.has_value(), in_use) << (grown ? "" : grown.error().message);
  if (!in_use) {
    EXPECT_EQ(grown.error().code, Code::kConflict);
    EXPECT_NE(grown.error().message.find("volume \"data\" can grow to 4"), std::string::npos)
        << grown.error().message;
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  auto again = update(volume, "6g", false);
  ASSERT_TRUE(again) << again.error().message;
  again = update(volume, "6g", false);
  ASSERT_TRUE(again) << "repeating is success: " << again.error().message;
  auto sidecar = Volume(*volume);
  sidecar.options["size"] = "6g";
  ASSERT_TRUE(
      write_file_atomic(root_ + "/volumes/data/volume.json", sidecar.to_json(), 0600, true));
  volumes_.reset();
  ASSERT_TRUE(store_->erase(RecordKind::kVolume, "data"));
  open_volumes();
  auto root = mounted();
  EXPECT_EQ(*read_all(*open_file_at(root.root, "kept", O_RDONLY)), "text");
  if (on_btrfs()) return;
  struct statvfs room = {};
  ASSERT_EQ(::statvfs(data_.c_str(), &room), 0);
  EXPECT_EQ(room.f_bavail + 1, (6ULL << 30) / 4096) << "all but the file's block";
}

// Quotas that an administrator has switched on stay as they are.
TEST_P(ROOT_SizedVolume, FullQuotasAreUsedAndLeftAlone) {
  if (!on_btrfs()) return;
  run({"btrfs", "quota", "enable", root_});
  run({"btrfs", "quota", "rescan", "-w", root_});
  auto volume = make("8m");
  EXPECT_EQ(*quota_mode(*open_file(root_, O_RDONLY | O_DIRECTORY)), QuotaMode::kFull);
  {
    auto root = mounted();
    EXPECT_TRUE(filled(fill(root.root, "file"), 8 * kMiB));
    ASSERT_TRUE(update(volume, "12m", true));
    EXPECT_TRUE(filled(fill(root.root, "file"), 12 * kMiB));
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(trash_is_gone());
  EXPECT_EQ(run({"btrfs", "subvolume", "list", root_}), "");
  EXPECT_EQ(run({"btrfs", "qgroup", "show", root_}).find("18502/"), std::string::npos);
}

TEST_P(ROOT_SizedVolume, QuotasThatWereSwitchedOffAreOnAgainAfterTheNextMount) {
  if (!on_btrfs()) return;
  make("8m");
  { mounted(); }
  run({"btrfs", "quota", "disable", root_});
  EXPECT_TRUE(volumes_->list().size() == 1 && volumes_->size(kData, 10s) == std::nullopt);
  auto root = mounted();
  EXPECT_TRUE(filled(fill(root.root, "file"), 8 * kMiB));
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  run({"btrfs", "quota", "disable", root_});
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(trash_is_gone());
}

TEST_P(ROOT_SizedVolume, ADamagedImageIsRepairedOrRefused) {
  if (on_btrfs()) return;
  make("8m");
  {
    auto root = mounted();
    ASSERT_TRUE(write_all(*open_file_at(root.root, "kept", O_CREAT | O_WRONLY, 0644), "text"));
  }
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(loops_go());
  std::string image = root_ + "/volumes/data/_data.ext4";
  run({"debugfs", "-w", "-R", "set_super_value state 2", image});  // as the kernel marks errors
  EXPECT_EQ(*read_all(*open_file_at(mounted().root, "kept", O_RDONLY)), "text");
  ASSERT_TRUE(volumes_->unmount(kData, kOne));
  ASSERT_TRUE(loops_go());
  std::string zeros(1 << 20, '\0');
  ASSERT_GT(::pwrite(open_file(image, O_WRONLY)->get(), zeros.data(), zeros.size(), 0), 0);
  auto refused = volumes_->mount(kData, kOne);
  ASSERT_FALSE(refused) << "never the bare directory";
  EXPECT_EQ(refused.error().code, Code::kDataLoss);
  EXPECT_TRUE(volumes_->remove(kData));
}

TEST_P(ROOT_SizedVolume, SpaceOfDeletedFilesGoesBackToTheDisk) {
  make("64m");
  auto root = mounted();
  auto taken = [&] {
    struct statvfs room = {};
    ::statvfs(root_.c_str(), &room);
    return (room.f_blocks - room.f_bfree) * room.f_frsize;
  };
  auto readable = *open_file_at(root.root, ".", O_RDONLY | O_DIRECTORY);
  auto disk = *open_file(root_, O_RDONLY | O_DIRECTORY);
  fill(root.root, "file");
  ::syncfs(disk.get());
  auto full = taken();
  ASSERT_EQ(::unlinkat(root.root.get(), "file", 0), 0);
  auto deadline = std::chrono::steady_clock::now() + 40s;
  while (taken() + 48 * kMiB > full && std::chrono::steady_clock::now() < deadline) {
    ::syncfs(readable.get());
    ::syncfs(disk.get());
  }
  EXPECT_LE(taken() + 48 * kMiB, full);
}

TEST_P(ROOT_SizedVolume, AFullDirectoryIsNotCutToItsLimit) {
  auto made = volumes_->create({"data", "", {}, {}});
  ASSERT_TRUE(made);
  std::ofstream(data_ + "/file") << std::string(8 * kMiB, 'x');
  auto refused = update(made->volume, "4m", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("a size of 4MiB is too small"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(std::filesystem::file_size(data_ + "/file"), 8 * kMiB);
  EXPECT_EQ(update(made->volume, "16m", true).error().code, Code::kConflict) << "while in use";
  ASSERT_TRUE(update(made->volume, "16m", false));
}

}  // namespace
}  // namespace holdfast
