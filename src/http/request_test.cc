#include "http/request.h"

#include <gtest/gtest.h>

namespace holdfast::http {
namespace {

std::string target_error(std::string_view text) {
  auto target = parse_target(text);
  return target ? "" : target.error().message;
}

TEST(Target, decodes_each_segment_by_itself) {
  auto target = parse_target("/v1.41/containers/a%20b%2Fc/json?all=1&x=a%26b+c");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, (std::vector<std::string>{"containers", "a b/c", "json"}));
  EXPECT_EQ(target->version, (ApiVersion{1, 41}));
  EXPECT_EQ(target->query.get("all"), "1");
  EXPECT_EQ(target->query.get("x"), "a&b c");
}

TEST(Target, without_prefix_speaks_the_newest_version) {
  auto target = parse_target("/_ping");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->version, kMaxApiVersion);
  EXPECT_EQ(target->segments, std::vector<std::string>{"_ping"});
}

TEST(Target, keeps_names_that_only_look_like_a_version) {
  EXPECT_EQ(parse_target("/volumes/v1.41")->segments,
            (std::vector<std::string>{"volumes", "v1.41"}));
  EXPECT_EQ(parse_target("/v1.41")->segments, std::vector<std::string>{"v1.41"});
}

TEST(Target, leaves_our_own_api_without_a_version_of_dockers) {
  EXPECT_EQ(parse_target("/holdfast/v1/volumes")->segments,
            (std::vector<std::string>{"holdfast", "v1", "volumes"}));
  EXPECT_EQ(parse_target("/v1.41/holdfast/v1/volumes")->segments,
            (std::vector<std::string>{"v1.41", "holdfast", "v1", "volumes"}));
}

TEST(Target, takes_the_absolute_form) {
  auto target = parse_target("http://docker:2375/v1.30/info?x=1");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->segments, std::vector<std::string>{"info"});
  EXPECT_EQ(target->query.get("x"), "1");
}

TEST(Target, refuses_versions_in_the_words_of_docker) {
  EXPECT_EQ(target_error("/v1.12/info"),
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade "
            "your client to a newer version");
  EXPECT_EQ(target_error("/v1.99/info"),
            "client version 1.99 is too new. Maximum supported API version is 1.50");
  EXPECT_EQ(target_error("/v99999999999999999999.1/info"),
            "client version 99999999999999999999.1 is too new. Maximum supported API version is "
            "1.50");
  EXPECT_EQ(target_error("/v1..2/info"), "invalid API version \"1..2\"");
}

TEST(Target, refuses_what_is_none) {
  for (auto text : {"", "*", "docker:80", "/a%", "/a%2", "/a%zz", "/a%00b", "/a?x=%g1"})
    EXPECT_FALSE(parse_target(text)) << text;
}

TEST(Query, reads_booleans_as_docker_does) {
  auto query = *Query::parse("a=&b=0&c=no&d=False&e=none&f=1&g=true&h=anything&i");
  for (auto name : {"a", "b", "c", "d", "e", "i"}) EXPECT_FALSE(query.flag(name, true)) << name;
  for (auto name : {"f", "g", "h"}) EXPECT_TRUE(query.flag(name)) << name;
  EXPECT_TRUE(query.flag("absent", true));
  EXPECT_FALSE(query.flag("absent"));
}

TEST(Query, reads_numbers_and_refuses_others) {
  auto query = *Query::parse("a=12&b=-1&c=&d=x&e=1x&f=99999999999999999999&g=%2B7");
  EXPECT_EQ(query.number("a"), 12);
  EXPECT_EQ(query.number("b"), -1);
  EXPECT_EQ(query.number("c", 5), 5);
  EXPECT_EQ(query.number("absent", 5), 5);
  EXPECT_EQ(query.number("g"), 7);
  EXPECT_EQ(*query.optional_number("absent"), std::nullopt);
  for (auto name : {"d", "e", "f"}) EXPECT_FALSE(query.number(name)) << name;
}

TEST(Query, keeps_every_value_of_a_name) {
  auto query = *Query::parse("names=a&names=b%3A1&&changes=ENV+X%3D1");
  EXPECT_EQ(query.all("names"), (std::vector<std::string>{"a", "b:1"}));
  EXPECT_EQ(query.get("names"), "a");
  EXPECT_EQ(query.get("changes"), "ENV X=1");
}

TEST(HeaderFields, find_tokens_in_lists) {
  Headers headers;
  headers.add("Connection", "keep-alive, Upgrade");
  headers.add("connection", "x");
  EXPECT_TRUE(headers.has_token("CONNECTION", "upgrade"));
  EXPECT_TRUE(headers.has_token("Connection", "X"));
  EXPECT_FALSE(headers.has_token("Connection", "keep"));
  EXPECT_EQ(headers.count("Connection"), 2u);
}

}  // namespace
}  // namespace holdfast::http
