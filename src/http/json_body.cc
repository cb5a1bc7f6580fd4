#include "http/json_body.h"

#include "base/secret_json.h"

namespace holdfast::http {
namespace {

// "application/json; charset=utf-8" is application/json.
std::string_view media_type(std::string_view value) {
  value = value.substr(0, value.find(';'));
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

Status check_content_type(const Request& request) {
  std::string type = request.headers.get("Content-Type");
  if (type.empty() && request.body.empty()) return {};
  if (equal_ignoring_case(media_type(type), "application/json")) return {};
  return fail(Code::kInvalidArgument, "Content-Type specified ({}) must be 'application/json'",
              type);
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Status check_body(const Request& request) {
  RETURN_IF_ERROR(check_content_type(request));
  if (!blank(request.body)) return {};
  return fail(Code::kInvalidArgument, "invalid JSON: got EOF while reading request body");
}

}  // namespace

Result<json::Object> json_body(const Request& request) {
  RETURN_IF_ERROR(check_body(request));
  return json::parse_object(request.body);
}

Result<json::Object> confidential_json_body(const Request& request) {
  RETURN_IF_ERROR(check_body(request));
  return parse_secret_object(request.body);
}

Result<json::Object> optional_json_body(const Request& request) {
  if (blank(request.body)) {
    // Clients send any type with an empty body; only a body's type matters here.
    return json::Object();
  }
  return json_body(request);
}

}  // namespace holdfast::http
