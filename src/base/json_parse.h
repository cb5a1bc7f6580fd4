#pragma once

#include <string_view>

#include "base/json.h"

// For src/base alone.
namespace holdfast::json {

// parse_object() with all that is made of the text in `memory`.
Result<Object> parse_object_in(const boost::json::storage_ptr& memory, std::string_view text);

}  // namespace holdfast::json
