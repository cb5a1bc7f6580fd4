#include "storage/driver/local/local_driver.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

class LocalDriverTest : public testing::Test {
 protected:
  static Volume volume(const std::map<std::string, std::string>& options) {
    Volume volume;
    volume.id = std::string(32, 'a');
    volume.name = VolumeName("data");
    volume.driver = "local";
    volume.options = options;
    return volume;
  }
  Status updated(const std::map<std::string, std::string>& from,
                 const std::map<std::string, std::string>& to, bool mounted) {
    return driver_.update(volume(from), volume(to), directory_of_volume_, mounted);
  }

  TemporaryDirectory directory_;
  VolumeDirectories directories_ = *VolumeDirectories::open(directory_ / "root");
  LocalDriver driver_{directories_};
  UniqueFd directory_of_volume_ = [this] {
    EXPECT_TRUE(make_directories(directory_ / "root/volumes/data/_data", 0700));
    return *directories_.open_volume(VolumeName("data"));
  }();
};

TEST_F(LocalDriverTest, OnlyMountOptionsChangeAndOnlyWhileUnmounted) {
  using Options = std::map<std::string, std::string>;
  const Options before = {{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}};
  Options after = before;
  after["o"] = "size=2m";
  EXPECT_TRUE(updated(before, after, false));
  EXPECT_TRUE(updated(before, after, false)) << "repeating is success";
  EXPECT_TRUE(updated(before, before, true)) << "no change is none while mounted either";
  auto mounted = updated(before, after, true);
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, Code::kConflict);
  EXPECT_EQ(mounted.error().message, "option \"o\" cannot be changed while the volume is mounted");
  after.erase("o");
  EXPECT_TRUE(updated(before, after, false));
  after["device"] = "other";
  auto other = updated(before, after, false);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kInvalidArgument);
  EXPECT_NE(other.error().message.find("\"device\""), std::string::npos);
  after = before;
  after["o"] = "remount";
  EXPECT_EQ(updated(before, after, false).error().code, Code::kInvalidArgument);
}

TEST_F(LocalDriverTest, TellsNothingOfADirectoryAndWhetherTheRestIsMounted) {
  EXPECT_TRUE(driver_.status(volume({}), directory_of_volume_).empty());
  auto status =
      driver_.status(volume({{"type", "tmpfs"}, {"device", "tmpfs"}}), directory_of_volume_);
  EXPECT_FALSE(json::bool_or(status, "Mounted", true));
}

}  // namespace
}  // namespace holdfast
