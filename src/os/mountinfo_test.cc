#include "os/mountinfo.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "os/cgroup.h"

namespace holdfast {
namespace {

constexpr std::string_view kTable =
    "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
    "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"
    "40 27 0:9 / /u rw unbindable - tmpfs t\\134t rw,size=1k\n"
    "damaged line\n"
    "41 27 0:9 / /s rw shared:3 - tmpfs none rw";

TEST(MountInfoTest, ReadsEveryField) {
  auto table = parse_mount_table(kTable);
  ASSERT_EQ(table.size(), 4u);
  EXPECT_EQ(table[1].id, 36u);
  EXPECT_EQ(table[1].parent, 35u);
  EXPECT_EQ(table[1].device, "98:0");
  EXPECT_EQ(table[1].root, "/mnt1");
  EXPECT_EQ(table[1].target, "/mnt 2");
  EXPECT_EQ(table[1].options, "rw,noatime");
  EXPECT_EQ(table[1].type, "ext3");
  EXPECT_EQ(table[1].source, "/dev/root");
  EXPECT_EQ(table[1].super_options, "rw,errors=continue");
  EXPECT_EQ(table[2].source, "t\\t");
  EXPECT_EQ(table[0].propagation(), Propagation::kPrivate);
  EXPECT_EQ(table[1].propagation(), Propagation::kSlave);
  EXPECT_EQ(table[2].propagation(), Propagation::kUnbindable);
  EXPECT_EQ(table[3].propagation(), Propagation::kShared);
}

TEST(MountInfoTest, TellsMountPointsFromDirectories) {
  EXPECT_TRUE(is_mount_point(BorrowedFd(AT_FDCWD), "/proc").value());
  EXPECT_FALSE(is_mount_point(BorrowedFd(AT_FDCWD), "/proc/self").value());
  EXPECT_FALSE(is_mount_point(BorrowedFd(AT_FDCWD), "/none").has_value());
  EXPECT_EQ(mount_of(*open_file("/proc/self", O_PATH))->type, "proc");
}

TEST(CgroupTest, TellsTheLayoutsApart) {
  constexpr std::string_view kV1 =
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup "
      "rw,xattr,release_agent=/x,name=systemd\n";
  constexpr std::string_view kV2 = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  auto v1 = CgroupLayout::parse(kV1, "");
  EXPECT_EQ(v1.mode, CgroupLayout::Mode::kV1);
  EXPECT_EQ(v1.controllers.at("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(v1.controllers.at("name=systemd"), "/sys/fs/cgroup/systemd");
  EXPECT_EQ(v1.controllers.size(), 3u);
  auto hybrid = CgroupLayout::parse(std::string(kV1) + std::string(kV2), "\n");
  EXPECT_EQ(hybrid.mode, CgroupLayout::Mode::kHybrid);
  EXPECT_EQ(hybrid.unified, "/sys/fs/cgroup/unified");
  auto v2 = CgroupLayout::parse(kV2, "cpu memory pids\n");
  EXPECT_EQ(v2.mode, CgroupLayout::Mode::kV2);
  EXPECT_TRUE(v2.has("pids"));
  EXPECT_EQ(CgroupLayout::parse("", "").mode, CgroupLayout::Mode::kNone);
}

}  // namespace
}  // namespace holdfast
