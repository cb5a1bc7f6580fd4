#include "base/json.h"

#include <gtest/gtest.h>

namespace holdfast::json {
namespace {

TEST(Json, RejectsWhatIsMalformed) {
  for (const char* text : {"", "{", "{\"a\":}", "{} x", "[1,]", "\"", "{\"a\":1}{"}) {
    EXPECT_FALSE(parse(text)) << text;
  }
  EXPECT_FALSE(parse(std::string(100, '[') + std::string(100, ']')));
  EXPECT_FALSE(parse_object("[1]"));
}

TEST(Json, ReadsMembersOrDefaults) {
  auto object =
      *parse_object(R"({"Name":"a","N":3,"B":true,"L":["x","y"],"M":{"k":"v"},"Nil":null})");
  EXPECT_EQ(*get_string(object, "Name"), "a");
  EXPECT_EQ(*get_string(object, "name"), "a");
  EXPECT_EQ(*get_int(object, "N"), 3);
  EXPECT_EQ(*get_int(object, "Nil", 7), 7);
  EXPECT_TRUE(*get_bool(object, "B"));
  EXPECT_EQ(get_strings(object, "L")->size(), 2u);
  EXPECT_EQ(get_string_map(object, "M")->at("k"), "v");
  EXPECT_FALSE(get_string(object, "N"));
  EXPECT_FALSE(get_strings(object, "M"));
}

TEST(Json, QuotesTextAsADocumentHasIt) {
  std::string text("a \"b\" \\ \n\t\x01 ä \x7f/");
  std::string quoted = "before ";
  append_quoted(quoted, text);
  EXPECT_EQ(quoted.substr(0, 7), "before ");
  auto parsed = parse(quoted.substr(7));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(std::string(parsed->get_string()), text);
}

}  // namespace
}  // namespace holdfast::json
