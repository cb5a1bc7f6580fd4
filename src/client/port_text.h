#pragma once

#include <string>

#include "base/json.h"

namespace holdfast::client {

// The PORTS column of ps: the entries of a container's "Ports", with consecutive ones grouped:
// "80/tcp", "0.0.0.0:8080->80/tcp", "0.0.0.0:81-83->81-83/tcp".
std::string displayable_ports(const json::Array& ports);

}  // namespace holdfast::client
