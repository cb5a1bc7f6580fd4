#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string>

#include "base/file.h"
#include "base/process.h"
#include "os/mountinfo.h"
#include "storage/temporary_directory.h"

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
  // An image file with an ext4 in it.
  std::string make_ext4(const std::string& name, int megabytes) {
    std::string path = directory_ / name;
    auto file = *open_file(path, O_CREAT | O_RDWR, 0600);
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(megabytes) << 20), 0);
    ProcessOptions options;
    options.argv = {"mkfs.ext4", "-q", "-F", "-m", "0", path};
    auto output = run_command(options);
    EXPECT_TRUE(output && output->status.success());
    return path;
  }

  TemporaryDirectory directory_;

 private:
  static inline bool can_mount_ = false;
};

}  // namespace holdfast
