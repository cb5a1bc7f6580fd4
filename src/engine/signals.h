#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast {

// The number of a signal given as "KILL", "SIGKILL" (in any case) or "9"; kInvalidArgument "invalid
// signal: x".
Result<int> parse_signal(std::string_view text);

}  // namespace holdfast
