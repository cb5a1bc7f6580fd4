#pragma once

#include <optional>
#include <string>

namespace holdfast {

// The path of a program of the system's administration (/sbin, /usr/sbin), which the daemon's PATH
// may lack.
std::optional<std::string> system_program(const std::string& name);

}  // namespace holdfast
