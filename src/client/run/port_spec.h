#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::client {

// -p and --expose of one container, as Config.ExposedPorts and HostConfig.PortBindings.
struct PortMap {
  json::Object exposed;
  json::Object bindings;
};

// Adds [ip:][hostPort|range:]containerPort|range[/tcp|udp|sctp]. kInvalidArgument in Docker's
// words.
Status add_published_port(std::string_view text, PortMap& ports);
// Adds port|range[/proto].
Status add_exposed_port(std::string_view text, PortMap& ports);

}  // namespace holdfast::client
