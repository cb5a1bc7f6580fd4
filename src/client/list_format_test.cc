#include "client/list_format.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

const ListFormat kVolumes = {
    "{{.Driver}}\t{{.Name}}", "{{.Name}}", {{"Driver", "DRIVER"}, {"Name", "VOLUME NAME"}}};

std::vector<TemplateData> rows() {
  std::vector<TemplateData> rows(1);
  rows[0].root = json::Object{{"Name", "data"}, {"Driver", "local"}};
  rows[0].methods["Label"] = [](const auto&) -> Result<json::Value> { return json::Value("blue"); };
  return rows;
}

std::string render(std::string_view format, bool quiet = false) {
  auto result = render_list(format, quiet, kVolumes, rows());
  return result ? *result : result.error().message;
}

TEST(ListFormat, DefaultIsTheTable) {
  EXPECT_EQ(render(""), "DRIVER    VOLUME NAME\nlocal     data\n");
  EXPECT_EQ(render("table"), "DRIVER    VOLUME NAME\nlocal     data\n");
  EXPECT_EQ(render("", true), "data\n");
}

TEST(ListFormat, TablesOfOnesOwnHaveHeadings) {
  EXPECT_EQ(render("table {{.Name}}\\t{{upper .Driver}}"),
            "VOLUME NAME   DRIVER\ndata          LOCAL\n");
  EXPECT_EQ(render("table {{.Label \"com.x.some-color\"}}"), "some color\nblue\n");
}

TEST(ListFormat, JsonHasItsKeysInOrder) {
  EXPECT_EQ(render("json"), "{\"Driver\":\"local\",\"Name\":\"data\"}\n");
  EXPECT_EQ(render("{{.Name}}\\n--"), "data\n--\n");
}

TEST(ListFormat, ErrorsReadAsDockers) {
  EXPECT_EQ(render("{{nope}}"),
            "template parsing error: template: :1: function \"nope\" not defined");
}

TEST(ListFormat, PrettyJsonIndentsAsGo) {
  EXPECT_EQ(pretty_json(json::parse(R"([{"a":{},"b":[],"c":[1,"x"],"d":null}])").value()),
            "[\n    {\n        \"a\": {},\n        \"b\": [],\n        \"c\": [\n            1,\n"
            "            \"x\"\n        ],\n        \"d\": null\n    }\n]");
}

}  // namespace
}  // namespace holdfast::client
