#pragma once

#include <string>

namespace holdfast {

// `digits` hexadecimal digits from the kernel's random number generator; ids are 64 of them.
std::string random_hex(std::size_t digits);

// The same of 0-9 and a-z; ids of what swarm has in Docker are 25 of them.
std::string random_base36(std::size_t characters);

}  // namespace holdfast
