#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::client {

// One --network: its name and the EndpointSettings to join it with.
struct NetworkSpec {
  std::string name;
  json::Object endpoint;  // only the members that were given
};

// "name" or "name=…,alias=…,ip=…,ip6=…,mac-address=…,driver-opt=k=v,link-local-ip=…,gw-priority=n".
// kInvalidArgument in Docker's words.
Result<NetworkSpec> parse_network_spec(std::string_view text);

// Appends to the list `key` of an object.
void append_string(json::Object& object, std::string_view key, std::string_view value);

// Whether containers on it have names and addresses of their own choosing.
bool is_user_defined_network(std::string_view name);

}  // namespace holdfast::client
