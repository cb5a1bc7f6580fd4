#include "engine/mounts/made_mount_options.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string joined(const Result<std::vector<std::string>>& options) {
  return options ? fmt::format("{}", fmt::join(*options, ",")) : options.error().message;
}

TEST(TmpfsOptions, AreNormalised) {
  EXPECT_EQ(joined(parse_tmpfs_options("")), "");
  EXPECT_EQ(joined(parse_tmpfs_options("rw,noexec,nosuid,size=64k,mode=1770,uid=5,gid=6")),
            "rw,noexec,nosuid,size=65536,mode=1770,uid=5,gid=6");
  EXPECT_EQ(joined(parse_tmpfs_options("defaults,size=50%")), "size=50%");
  EXPECT_EQ(joined(parse_tmpfs_options("size=1.5GiB")), "size=1610612736");
  EXPECT_EQ(joined(parse_tmpfs_options("huge=within_size,noswap,nr_inodes=1k,mpol=bind:0-1")),
            "huge=within_size,noswap,nr_inodes=1024,mpol=bind:0-1");
}

TEST(TmpfsOptions, TheLastOfAKindCounts) {
  EXPECT_EQ(joined(parse_tmpfs_options("ro,exec,rw,size=1k,noexec,size=2k")),
            "rw,noexec,size=2048");
}

TEST(TmpfsOptions, AreRefusedInDockersWords) {
  EXPECT_EQ(joined(parse_tmpfs_options("foo")), "invalid tmpfs option [\"foo\"]");
  EXPECT_EQ(joined(parse_tmpfs_options("size=1m,bar=2")), "invalid tmpfs option [\"bar\" \"2\"]");
  for (const char* bad :
       {"size=",          "size=x",         "size=101%", "size=-1", "mode=8",     "mode=17777",
        "uid=-1",         "uid=4294967295", "uid=root",  "gid=1x",  "huge=maybe", "noswap=1",
        "size",           "remount",        "bind",      "ro=1",    " ro",        "size=1m,",
        "mpol=bind:0;rm", "SIZE=1m",        "source=/x"})
    EXPECT_FALSE(parse_tmpfs_options(bad)) << bad;
}

TEST(RamfsAndDevptsOptions, KnowTheirOwnKeys) {
  EXPECT_EQ(joined(check_ramfs_options({"mode=0700", "noexec"})), "mode=0700,noexec");
  EXPECT_EQ(joined(check_ramfs_options({"size=1m"})), "invalid ramfs option [\"size\" \"1m\"]");
  EXPECT_EQ(joined(check_devpts_options({"uid=1", "gid=5", "max=10", "mode=0620"})),
            "uid=1,gid=5,max=10,mode=0620");
  EXPECT_EQ(joined(check_devpts_options({"max=many"})), "invalid devpts option [\"max\" \"many\"]");
}

}  // namespace
}  // namespace holdfast
