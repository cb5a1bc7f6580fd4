#pragma once

#include <string>

namespace holdfast {

// `digits` hexadecimal digits from the kernel's random number generator; ids are 64 of them.
std::string random_hex(std::size_t digits);

}  // namespace holdfast
