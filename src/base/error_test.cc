#include "base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace holdfast {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kInvalidArgument, "{} is odd", n);
  return n / 2;
}

Result<int> quarter(int n) {
  ASSIGN_OR_RETURN(auto first, half(n));
  ASSIGN_OR_RETURN(auto second, half(first));
  return second;
}

TEST(Error, PropagatesTheFirstFailure) {
  EXPECT_EQ(*quarter(12), 3);
  auto failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "3 is odd");
}

TEST(Error, ContextGrowsOutward) {
  Error error = system_error(EBUSY, "mount \"/a\" on \"/b\"").wrap("create volume \"data\"");
  EXPECT_EQ(error.message,
            "create volume \"data\": mount \"/a\" on \"/b\": Device or resource busy");
  EXPECT_EQ(error.code, Code::kConflict);
  EXPECT_EQ(error.sys_errno, EBUSY);
}

}  // namespace
}  // namespace holdfast
