#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// The parts of `text` between separators, empty ones included; never less than one.
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace holdfast
