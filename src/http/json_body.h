#pragma once

#include "base/json.h"
#include "http/request.h"

namespace holdfast::http {

// The request's body as a JSON object. kInvalidArgument, with Docker's words, for another content
// type, malformed JSON, or no body at all.
Result<json::Object> json_body(const Request& request);

// The same in memory that is wiped when it is given back, for routes with
// RouteOptions::confidential.
Result<json::Object> confidential_json_body(const Request& request);

// As json_body(), but no body is an empty object.
Result<json::Object> optional_json_body(const Request& request);

}  // namespace holdfast::http
