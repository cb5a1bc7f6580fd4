#include "runtime/mount_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using ::testing::HasSubstr;

constexpr const char* kConfig = R"({
  "mounts": [
    {"destination": "/proc", "type": "proc", "options": ["nosuid"]},
    {"destination": "/dev", "type": "tmpfs"},
    {"destination": "/dev/pts", "type": "devpts"},
    {"destination": "/sys", "type": "sysfs"},
    {"destination": "/sys/fs/cgroup", "type": "cgroup"},
    {"destination": "/shared", "type": "bind", "options": ["rbind"]},
    {"destination": "/shared/link", "type": "bind", "options": ["rbind"]},
    {"destination": "/proc/uptime", "type": "bind", "options": ["rbind"]},
    {"destination": "/dev/snd", "type": "bind", "options": ["rbind"]}
  ],
  "linux": {
    "maskedPaths": ["/proc/keys"],
    "readonlyPaths": ["/proc/sys"],
    "devices": [{"path": "/dev/fuse"}]
  }
})";

// As crun leaves it on a host with control groups of both versions.
constexpr std::string_view kTable =
    "1 0 0:1 / / rw - overlay overlay rw\n"
    "2 1 0:2 / /proc rw - proc proc rw\n"
    "3 1 0:3 / /dev rw - tmpfs tmpfs rw\n"
    "4 3 0:4 / /dev/pts rw - devpts devpts rw\n"
    "5 1 0:5 / /sys ro - sysfs sysfs ro\n"
    "6 5 0:6 / /sys/fs/cgroup ro - tmpfs cgroup rw\n"
    "7 6 0:7 /x /sys/fs/cgroup/memory ro - cgroup cgroup rw\n"
    "8 1 8:1 /v /shared rw - ext4 /dev/sda1 rw\n"
    "10 2 8:1 /u /proc/uptime rw - ext4 /dev/sda1 rw\n"
    "11 3 8:1 /s /dev/snd rw - ext4 /dev/sda1 rw\n"
    "12 11 0:9 / /dev/snd/by-id rw - tmpfs tmpfs rw\n"
    "13 2 0:2 /null /proc/keys rw - devtmpfs udev rw\n"
    "14 2 0:2 /sys /proc/sys ro - proc proc rw\n";

Status check(const std::string& more, std::string_view table = kTable) {
  auto all = fmt::format("{}{}", table, more);
  return check_mounts(*json::parse_object(kConfig), parse_mount_table(all));
}

TEST(MountCheck, WhatTheConfigurationSaysIsThere) {
  auto status = check("9 8 8:1 /w /shared/link rw - ext4 /dev/sda1 rw\n");
  EXPECT_TRUE(status) << status.error().message;
}

TEST(MountCheck, OtherPlacesAreNoneOfItsBusiness) {
  EXPECT_TRUE(check("9 1 8:1 /w /etc/link rw - ext4 /dev/sda1 rw\n"));
  EXPECT_TRUE(check("9 1 8:1 /w /processes rw - ext4 /dev/sda1 rw\n"));
}

class MountCheckOf : public ::testing::TestWithParam<const char*> {};

TEST_P(MountCheckOf, NothingMoreIsLetPass) {
  std::string place = GetParam();
  auto status = check(fmt::format("9 1 8:1 /w {} rw - ext4 /dev/sda1 rw\n", place));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
  EXPECT_THAT(status.error().message, HasSubstr("is mounted on \"" + place + "\""));
}

INSTANTIATE_TEST_SUITE_P(Places, MountCheckOf,
                         ::testing::Values("/", "/proc", "/proc/self", "/proc/1/attr",
                                           "/proc/uptime", "/proc/keys", "/proc/sys",
                                           "/proc/sys/kernel/core_pattern", "/sys", "/sys/kernel",
                                           "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/dev",
                                           "/dev/pts", "/dev/null", "/dev/console", "/dev/snd"));

TEST(MountCheck, TmpfsIsNoControlGroupAndNoDevice) {
  EXPECT_FALSE(check("9 1 0:9 / /sys/fs/cgroup/memory rw - tmpfs tmpfs rw\n"));
  EXPECT_FALSE(check("9 1 0:9 / /dev/null rw - tmpfs tmpfs rw\n"));
  EXPECT_FALSE(check("9 1 0:9 / /dev rw - tmpfs tmpfs rw\n"));
}

TEST(MountCheck, DevicesMayBeBoundOnceEach) {
  EXPECT_TRUE(
      check("9 3 0:2 /null /dev/null rw - devtmpfs udev rw\n"
            "9 3 0:2 /fuse /dev/fuse rw - devtmpfs udev rw\n"
            "9 3 0:4 /0 /dev/console rw - devpts devpts rw\n"));
  EXPECT_FALSE(
      check("9 3 0:2 /null /dev/null rw - devtmpfs udev rw\n"
            "9 3 0:2 /null /dev/null rw - devtmpfs udev rw\n"));
  EXPECT_FALSE(check("9 3 0:2 /sda /dev/null rw - devtmpfs udev rw\n"));
  EXPECT_FALSE(check("9 3 0:2 /sda /dev/sda rw - devtmpfs udev rw\n"));
}

// A read-only path is bound over itself, with what lies in it.
TEST(MountCheck, ReadOnlyPathsTakeMountsAlong) {
  auto config = *json::parse_object(R"({"mounts": [
    {"destination": "/proc", "type": "proc"},
    {"destination": "/proc/sys/kernel/ns_last_pid", "type": "bind"}],
    "linux": {"readonlyPaths": ["/proc/sys"]}})");
  constexpr std::string_view kPid = "3 2 8:1 /p /proc/sys/kernel/ns_last_pid rw - ext4 a rw\n";
  auto table = fmt::format(
      "2 1 0:2 / /proc rw - proc proc rw\n"
      "{0}4 2 0:2 /sys /proc/sys ro - proc proc rw\n{0}",
      kPid);
  EXPECT_TRUE(check_mounts(config, parse_mount_table(table)));
  table += kPid;
  EXPECT_FALSE(check_mounts(config, parse_mount_table(table)));
}

TEST(MountCheck, TheKernelsDirectoriesMustBeThere) {
  auto status = check("", "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /fake rw - proc p rw\n");
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("\"/proc\" was mounted elsewhere"));
}

}  // namespace
}  // namespace holdfast
