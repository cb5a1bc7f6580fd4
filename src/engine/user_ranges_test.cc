#include "engine/user_ranges.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

ContainerId container(int number) { return ContainerId(fmt::format("{:064}", number)); }

TEST(UsernsMode, SaysHowManyIds) {
  EXPECT_EQ(*parse_userns_mode(""), 0u);
  EXPECT_EQ(*parse_userns_mode("host"), 0u);
  EXPECT_EQ(*parse_userns_mode("auto"), 65536u);
  EXPECT_EQ(*parse_userns_mode("auto:size=5"), 5u);
  for (const char* bad : {"nonsense", "auto:", "auto:size=", "auto:size=0", "auto:size=4294967296",
                          "auto:size=-1", "auto:size=1x", "HOST"})
    EXPECT_FALSE(parse_userns_mode(bad)) << bad;
}

TEST(UserRanges, AreEachContainersOwn) {
  auto opened = UserRanges::open("");
  ASSERT_TRUE(opened);
  auto& ranges = *opened;
  auto first = *ranges.take(container(1), 65536);
  auto second = *ranges.take(container(2), 10);
  auto third = *ranges.take(container(3), 65536);
  EXPECT_EQ(second.uid, first.uid + 65536);
  EXPECT_EQ(third.uid, second.uid + 10);
  ranges.give_back(container(1));
  EXPECT_EQ(ranges.take(container(4), 100)->uid, first.uid);
  // What is left of the gap is too small for this one.
  EXPECT_EQ(ranges.take(container(5), 65536)->uid, third.uid + 65536);
}

TEST(UserRanges, RememberWhatRecordsSay) {
  auto opened = UserRanges::open("");
  auto first = *opened->take(container(1), 7);
  auto fresh = UserRanges::open("");
  fresh->restore(container(1), first);
  EXPECT_EQ(fresh->take(container(2), 7)->uid, first.uid + 7);
  json::Object record{{"Range", to_json(std::optional(first))}};
  EXPECT_EQ(user_range_from_json(record, "Range")->uid, first.uid);
  EXPECT_EQ(user_range_from_json(json::Object{}, "Range"), std::nullopt);
}

TEST(UserRanges, RunOut) {
  auto opened = UserRanges::open("");
  int given = 0;
  while (given < 100 && opened->take(container(given), 1u << 24)) ++given;
  EXPECT_EQ(given, 48);  // 0x30000000 ids in all
}

TEST(UserRanges, ANamedUserMustHaveSome) { EXPECT_FALSE(UserRanges::open("nobody-has-this-name")); }

}  // namespace
}  // namespace holdfast
