#include "wire/filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::wire {
namespace {

using ::testing::UnorderedElementsAre;

TEST(Filters, EncodeAsMapsOfTrue) {
  EXPECT_EQ(encode_filters({}), "");
  EXPECT_EQ(encode_filters({{"label", "a=b"}, {"label", "c"}, {"status", "exited"}}),
            R"({"label":{"a=b":true,"c":true},"status":{"exited":true}})");
}

TEST(Filters, DecodeBothSpellings) {
  auto maps = decode_filters(R"({"label":{"a=b":true,"c":true,"not":false},"name":{}})");
  ASSERT_TRUE(maps);
  EXPECT_THAT(*maps, UnorderedElementsAre(std::pair("label", "a=b"), std::pair("label", "c")));
  auto lists = decode_filters(R"({"label":["a=b","c"],"id":null})");
  ASSERT_TRUE(lists);
  EXPECT_THAT(*lists, UnorderedElementsAre(std::pair("label", "a=b"), std::pair("label", "c")));
}

TEST(Filters, NothingIsNoFilters) {
  EXPECT_TRUE(decode_filters("").value().empty());
  EXPECT_TRUE(decode_filters("{}").value().empty());
}

TEST(Filters, RefuseEverythingElse) {
  for (std::string_view text :
       {"[]", "{", "3", R"({"a":"b"})", R"({"a":[1]})", R"({"a":{"b":1}})", R"({"a":true})"}) {
    auto filters = decode_filters(text);
    ASSERT_FALSE(filters) << text;
    EXPECT_EQ(filters.error().code, Code::kInvalidArgument) << text;
    EXPECT_TRUE(filters.error().message.starts_with("invalid filter: ")) << text;
  }
}

}  // namespace
}  // namespace holdfast::wire
