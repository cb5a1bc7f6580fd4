#include "http/router.h"

#include <gtest/gtest.h>

namespace holdfast::http {
namespace {

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    for (auto [method, pattern] :
         std::vector<std::pair<const char*, const char*>>{{"GET", "/_ping"},
                                                          {"HEAD", "/_ping"},
                                                          {"GET", "/containers/json"},
                                                          {"GET", "/containers/{id}/json"},
                                                          {"POST", "/containers/{id}/start"},
                                                          {"DELETE", "/containers/{id}"},
                                                          {"GET", "/images/json"},
                                                          {"GET", "/images/get"},
                                                          {"GET", "/images/{name:.*}/json"},
                                                          {"GET", "/images/{name:.*}/get"},
                                                          {"DELETE", "/images/{name:.*}"}})
      router_.add(method, pattern, nullptr);
  }

  // "pattern name=value" of the match, or the methods allowed.
  std::string match(std::string_view method, std::string_view path) {
    auto found = router_.match(method, parse_target(path)->segments);
    if (!found.route) return "none [" + found.allowed_methods + "]";
    std::string text = found.route->method + " " + found.route->pattern;
    for (const auto& [name, value] : found.params) text += " " + name + "=" + value;
    return text;
  }

  Router router_;
};

TEST_F(RouterTest, matches_literals_and_names) {
  EXPECT_EQ(match("GET", "/containers/json"), "GET /containers/json");
  EXPECT_EQ(match("GET", "/containers/abc/json"), "GET /containers/{id}/json id=abc");
  EXPECT_EQ(match("DELETE", "/v1.41/containers/a%2Fb"), "DELETE /containers/{id} id=a/b");
}

TEST_F(RouterTest, lets_image_names_have_slashes) {
  EXPECT_EQ(match("GET", "/images/json"), "GET /images/json");
  EXPECT_EQ(match("GET", "/images/host:5000/a/b:1/json"),
            "GET /images/{name:.*}/json name=host:5000/a/b:1");
  EXPECT_EQ(match("GET", "/images/json/get"), "GET /images/{name:.*}/get name=json");
  EXPECT_EQ(match("DELETE", "/images/a/json"), "DELETE /images/{name:.*} name=a/json");
}

TEST_F(RouterTest, answers_head_with_get) {
  EXPECT_EQ(match("HEAD", "/_ping"), "HEAD /_ping");
  EXPECT_EQ(match("HEAD", "/images/json"), "GET /images/json");
}

TEST_F(RouterTest, tells_a_wrong_method_from_an_unknown_path) {
  EXPECT_EQ(match("PUT", "/_ping"), "none [GET, HEAD]");
  EXPECT_EQ(match("PATCH", "/containers/abc"), "none [DELETE]");
  EXPECT_EQ(match("GET", "/nothing"), "none []");
  EXPECT_EQ(match("GET", "/containers//json"), "none []");
  EXPECT_EQ(match("GET", "/containers/json/"), "none []");
  EXPECT_EQ(match("GET", "/"), "none []");
}

}  // namespace
}  // namespace holdfast::http
