#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "os/inode_flags.h"
#include "os/loop_device.h"
#include "os/mount_in_child.h"
#include "os/mountinfo.h"
#include "state/store.h"
#include "storage/driver/local/mount_options.h"
#include "storage/temporary_directory.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// Tests that mount: in a mount namespace of the test program's own, so that nothing of theirs is
// left on the machine.
class MountingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static const bool entered = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                                ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0;
    can_mount_ = entered;
  }
  void SetUp() override {
    if (!can_mount_) GTEST_SKIP() << "needs root";
  }
  void TearDown() override {
    clear_mount_points();
    auto table = read_mount_table();
    if (!table) return;
    for (auto entry = table->rbegin(); entry != table->rend(); ++entry) {
      if (entry->target.starts_with(directory_.path() + "/"))
        static_cast<void>(unmount(entry->target, true));
    }
  }

  // How many mounts there are at or beneath the test's directory.
  std::size_t mounts() {
    auto table = *read_mount_table();
    std::size_t count = 0;
    for (const auto& entry : table) count += entry.target.starts_with(directory_.path() + "/");
    return count;
  }
  std::size_t mounts_at(const std::string& path) {
    auto table = *read_mount_table();
    return static_cast<std::size_t>(std::count_if(
        table.begin(), table.end(), [&](const auto& entry) { return entry.target == path; }));
  }
  // An image file with a file system in it, made by a command that the file's path is added to.
  std::string make_image(const std::string& name, int megabytes, std::vector<std::string> command) {
    std::string path = directory_ / name;
    auto file = *open_file(path, O_CREAT | O_RDWR, 0600);
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(megabytes) << 20), 0);
    ProcessOptions options;
    options.argv = std::move(command);
    options.argv.push_back(path);
    auto output = run_command(options);
    EXPECT_TRUE(output && output->status.success()) << (output ? output->err : "");
    return path;
  }
  // Mounts what is in an image file at `where`, which is made.
  void mount_image(const std::string& image, const std::string& type, const std::string& where) {
    constexpr std::chrono::seconds kDeadline(30);
    auto file = open_in_child(image, O_RDWR, kDeadline);
    ASSERT_TRUE(file) << file.error().message;
    auto loop = attach_loop_device(*file, {}, kDeadline);
    ASSERT_TRUE(loop) << loop.error().message;
    auto mount = mount_filesystem(type, loop->path, {});
    ASSERT_TRUE(mount) << mount.error().message;
    ASSERT_TRUE(make_directories(where, 0700));
    auto attached = std::move(*mount).attach(BorrowedFd(AT_FDCWD), where, where);
    ASSERT_TRUE(attached) << attached.error().message;
    attached->commit();
  }
  std::string make_ext4(const std::string& name, int megabytes) {
    return make_image(name, megabytes, {"mkfs.ext4", "-q", "-F", "-m", "0"});
  }

  TemporaryDirectory directory_;

 private:
  // Mount points are marked immutable, and would outlive the test.
  void clear_mount_points() {
    std::error_code none;
    for (const char* folder : {"volumes", "staging", "trash"}) {
      for (const auto& entry :
           std::filesystem::directory_iterator(directory_ / "root/" + folder, none)) {
        auto directory = open_file(entry.path(), O_RDONLY | O_DIRECTORY);
        if (directory) static_cast<void>(set_immutable(*directory, "_data", false));
      }
    }
  }

  static inline bool can_mount_ = false;
};

// A data root with its Volumes.
class VolumesFixture : public MountingTest {
 protected:
  void SetUp() override {
    MountingTest::SetUp();
    if (!IsSkipped()) open_volumes();
  }
  void TearDown() override {
    volumes_.reset();
    MountingTest::TearDown();
  }
  // As a new daemon does.
  void open_volumes() {
    volumes_.reset();
    store_.reset();
    ASSERT_TRUE(make_directories(root_, 0700));
    store_ = *Store::open(root_ + "/state.db");
    auto volumes = Volumes::open(root_, *store_, {}, deadlines_);
    ASSERT_TRUE(volumes) << volumes.error().message;
    volumes_ = std::move(*volumes);
    volumes_->holders_restored();
  }
  // Waits for background work: the trash is empty but for its reserve.
  bool trash_is_gone() {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      bool any = false;
      std::error_code vanished;
      for (const auto& entry : std::filesystem::directory_iterator(root_ + "/trash", vanished))
        any = any || !std::filesystem::is_empty(entry.path(), vanished);
      if (!any) return true;
      std::this_thread::yield();
    }
    return false;
  }

  std::string root_ = directory_ / "root";
  MountDeadlines deadlines_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
};

}  // namespace holdfast
