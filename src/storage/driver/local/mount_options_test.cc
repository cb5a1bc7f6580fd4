#include "storage/driver/local/mount_options.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace holdfast {
namespace {

LocalMount parsed(const std::string& words) {
  auto mount = parse_local_mount({{"type", "nfs"}, {"device", ":/x"}, {"o", words}});
  EXPECT_TRUE(mount) << words;
  return mount.value_or(LocalMount{});
}

TEST(MountOptionsTest, TellsFlagsFromData) {
  auto mount = parsed("addr=10.0.0.1,ro,nosuid,,soft,noatime,defaults,rshared,timeo=5");
  EXPECT_EQ(mount.data, "addr=10.0.0.1,soft,timeo=5");
  ASSERT_EQ(mount.options.size(), 3u);
  EXPECT_EQ(mount.options[0].key, "addr");
  EXPECT_EQ(mount.options[0].value, "10.0.0.1");
  EXPECT_EQ(mount.options[1].value, std::nullopt);
  EXPECT_EQ(mount.attributes.read_only, true);
  EXPECT_EQ(mount.attributes.no_suid, true);
  EXPECT_EQ(mount.attributes.no_exec, std::nullopt);
  EXPECT_EQ(mount.attributes.propagation, Propagation::kShared);
  EXPECT_EQ(mount.flags, MS_RDONLY | MS_NOSUID | MS_NOATIME | MS_SHARED | MS_REC);
  EXPECT_FALSE(mount.bind);
}

TEST(MountOptionsTest, TheLastOfContradictingFlagsWins) {
  EXPECT_EQ(parsed("ro,rw").attributes.read_only, false);
  EXPECT_EQ(parsed("ro,rw").flags, 0u);
  EXPECT_EQ(parsed("suid,nosuid").attributes.no_suid, true);
}

TEST(MountOptionsTest, BindsComeByOptionOrType) {
  EXPECT_TRUE(parsed("bind").bind);
  EXPECT_FALSE(parsed("bind").recursive);
  EXPECT_TRUE(parsed("rbind").recursive);
  EXPECT_TRUE(parse_local_mount({{"type", "bind"}, {"device", "/x"}})->bind);
}

TEST(MountOptionsTest, OptionsThatActOnOtherMountsAreRefused) {
  for (const char* words : {"remount", "ro,move", "remount,bind"})
    EXPECT_FALSE(parse_local_mount({{"type", "none"}, {"device", "/x"}, {"o", words}})) << words;
}

}  // namespace
}  // namespace holdfast
