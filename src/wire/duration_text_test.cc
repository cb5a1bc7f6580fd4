#include "wire/duration_text.h"

#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

using namespace std::chrono_literals;

TEST(DurationText, ReadsAsDockers) {
  EXPECT_EQ(human_duration(-5s), "Less than a second");
  EXPECT_EQ(human_duration(999ms), "Less than a second");
  EXPECT_EQ(human_duration(1s), "1 second");
  EXPECT_EQ(human_duration(59s), "59 seconds");
  EXPECT_EQ(human_duration(60s), "About a minute");
  EXPECT_EQ(human_duration(45min), "45 minutes");
  EXPECT_EQ(human_duration(61min), "About an hour");
  EXPECT_EQ(human_duration(90min), "2 hours");
  EXPECT_EQ(human_duration(47h), "47 hours");
  EXPECT_EQ(human_duration(49h), "2 days");
  EXPECT_EQ(human_duration(24h * 15), "2 weeks");
  EXPECT_EQ(human_duration(24h * 70), "2 months");
  EXPECT_EQ(human_duration(24h * 800), "2 years");
}

}  // namespace
}  // namespace holdfast::wire
