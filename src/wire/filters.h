#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::wire {

// The `filters` query parameter of list, prune and events requests: any number of values a key.
using Filters = std::multimap<std::string, std::string>;

// {"label":{"a=b":true,"c":true}}; nothing for no filters.
std::string encode_filters(const Filters& filters);

// Both spellings that clients send: {"label":{"a=b":true}} and {"label":["a=b"]}. Empty text is no
// filters. kInvalidArgument for anything else.
Result<Filters> decode_filters(std::string_view text);

}  // namespace holdfast::wire
