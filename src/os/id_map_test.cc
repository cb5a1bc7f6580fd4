#include "os/id_map.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string message(const std::vector<IdRange>& ranges) {
  auto status = check_id_ranges(ranges);
  return status ? "" : status.error().message;
}

TEST(IdMapTest, SwappedIdsChangePlacesAndAllOthersStay) {
  auto ranges = swap_ids(1000, 0);
  EXPECT_EQ(message(ranges), "");
  EXPECT_EQ(map_id(ranges, 0), 1000u);
  EXPECT_EQ(map_id(ranges, 1000), 0u);
  for (std::uint32_t id : {1u, 999u, 1001u, 65534u, kNoId - 1}) EXPECT_EQ(map_id(ranges, id), id);
  EXPECT_EQ(map_id(ranges, kNoId), kNoId);
}

TEST(IdMapTest, NeighboursAndTheSameIdSwap) {
  for (auto [one, other] : {std::pair{5u, 6u}, {6u, 5u}, {7u, 7u}, {0u, kNoId - 1}}) {
    auto ranges = swap_ids(one, other);
    EXPECT_EQ(message(ranges), "") << one << " " << other;
    EXPECT_EQ(map_id(ranges, one), other);
    EXPECT_EQ(map_id(ranges, other), one);
  }
}

TEST(IdMapTest, RefusesRangesTheKernelWouldNotTake) {
  EXPECT_EQ(message({{0, 0, 0}}), "range 0-0-0 is empty");
  EXPECT_EQ(message({{kNoId, 0, 1}}), "range 4294967295-0-1 goes beyond the highest id");
  EXPECT_EQ(message({{0, 10, kNoId}}), "range 0-10-4294967295 goes beyond the highest id");
  EXPECT_EQ(message({{0, 0, 10}, {9, 20, 1}}), "range 9-20-1 overlaps another");
  EXPECT_EQ(message({{0, 0, 10}, {20, 9, 1}}), "range 20-9-1 overlaps another");
  EXPECT_EQ(message({{0, 0, 10}, {10, 10, 10}}), "");
  EXPECT_EQ(message(std::vector<IdRange>(341, {0, 0, 1})),
            "341 ranges of ids, the kernel takes 340");
}

}  // namespace
}  // namespace holdfast
