#pragma once

#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace holdfast {

// json::parse_object() of a text that holds a secret: what is made of it lies in memory that is
// overwritten when it is given back.
Result<json::Object> parse_secret_object(std::string_view text);

}  // namespace holdfast
