#include "base/clock.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Clock, Rfc3339RoundTrip) {
  for (const char* text :
       {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.6Z", "1999-12-31T23:59:59.000000001Z"}) {
    auto time = parse_rfc3339(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(to_rfc3339(*time), text);
  }
  EXPECT_EQ(to_rfc3339(Time{}), "0001-01-01T00:00:00Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-01-02T03:04:05+02:00")), "2026-01-02T01:04:05Z");
}

TEST(Clock, RejectsWhatIsNoTime) {
  for (const char* text :
       {"", "2026", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "x"}) {
    EXPECT_FALSE(parse_rfc3339(text)) << text;
  }
}

TEST(Clock, Durations) {
  EXPECT_EQ(parse_go_duration("1h15m30.5s"), nanoseconds(4530500000000));
  EXPECT_EQ(parse_go_duration("300ms"), nanoseconds(300000000));
  EXPECT_EQ(parse_go_duration("-2s"), nanoseconds(-2000000000));
  EXPECT_EQ(parse_go_duration("0"), nanoseconds(0));
  for (const char* text : {"", "5", "h", "1x", "1h-5m"})
    EXPECT_FALSE(parse_go_duration(text)) << text;
}

TEST(Clock, MomentsAsDockersFiltersTakeThem) {
  Time reference{seconds(1'000'000)};
  EXPECT_EQ(parse_moment("10s", reference), reference - seconds(10));
  EXPECT_EQ(parse_moment("1234.5", reference), Time{nanoseconds(1'234'500'000'000)});
  EXPECT_EQ(to_rfc3339(*parse_moment("2026-01-02", reference)), "2026-01-02T00:00:00Z");
  EXPECT_FALSE(parse_moment("yesterday", reference));
  // Wrapped around it would be a moment of the past.
  EXPECT_FALSE(parse_moment("-2555555h", Time{seconds(2'000'000'000)}));
}

}  // namespace
}  // namespace holdfast
