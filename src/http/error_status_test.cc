#include "http/error_status.h"

#include <gtest/gtest.h>

#include "http/json_body.h"
#include "http/responder.h"

namespace holdfast::http {
namespace {

TEST(ErrorReply, has_dockers_status_and_shape) {
  Reply reply = Reply::error(Error{Code::kNotFound, 0, "No such container: x"});
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.body, "{\"message\":\"No such container: x\"}\n");
  EXPECT_EQ(http_status(Code::kAlreadyExists), 409);
  EXPECT_EQ(http_status(Code::kConflict), 409);
  EXPECT_EQ(http_status(Code::kUnavailable), 503);
  EXPECT_EQ(http_status(Code::kNotImplemented), 501);
  EXPECT_EQ(http_status(Code::kResourceExhausted), 500);
}

std::string body_error(std::string type, std::string body) {
  Request request;
  if (!type.empty()) request.headers.add("content-type", std::move(type));
  request.body = std::move(body);
  auto object = json_body(request);
  return object ? "" : object.error().message;
}

TEST(JsonBody, wants_the_type_and_the_form) {
  EXPECT_EQ(body_error("application/json", "{}"), "");
  EXPECT_EQ(body_error("Application/JSON; charset=utf-8", "{\"a\":1}"), "");
  EXPECT_EQ(body_error("text/plain", "{}"),
            "Content-Type specified (text/plain) must be 'application/json'");
  EXPECT_EQ(body_error("", "{}"), "Content-Type specified () must be 'application/json'");
  EXPECT_EQ(body_error("application/json", ""), "invalid JSON: got EOF while reading request body");
  EXPECT_NE(body_error("application/json", "{\"a\":"), "");
  EXPECT_NE(body_error("application/json", "[]"), "");
}

TEST(JsonBody, may_be_left_out_where_it_is_optional) {
  Request request;
  request.headers.add("Content-Type", "text/plain");
  EXPECT_TRUE(optional_json_body(request));
  request.body = "{}";
  EXPECT_FALSE(optional_json_body(request));
}

}  // namespace
}  // namespace holdfast::http
