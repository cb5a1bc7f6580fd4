#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace holdfast {

enum class Protocol { kTcp, kUdp, kSctp };

std::string_view to_string(Protocol protocol);

// A port of a container: "80/tcp"; "80" is tcp.
struct ContainerPort {
  std::uint16_t number = 0;
  Protocol protocol = Protocol::kTcp;

  // kInvalidArgument with Docker's words.
  static Result<ContainerPort> parse(std::string_view text);
  std::string str() const;
  friend auto operator<=>(const ContainerPort&, const ContainerPort&) = default;
};

// One entry of HostConfig.PortBindings, checked. first = last = 0: any free port; a range: one free
// port of it.
struct PortRequest {
  ContainerPort port;
  std::string host_ip;  // empty: every address
  std::uint16_t first = 0;
  std::uint16_t last = 0;
};

// A port of the host that leads to a container.
struct PublishedPort {
  ContainerPort port;
  std::string host_ip;  // "0.0.0.0", "::", "127.0.0.1"
  std::uint16_t host_port = 0;
};

// HostConfig.PortBindings: {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}. kInvalidArgument with
// Docker's words.
Result<std::vector<PortRequest>> parse_port_bindings(const json::Object& bindings);

// NetworkSettings.Ports: {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null};
// `exposed` are the keys of Config.ExposedPorts.
json::Object ports_json(const std::vector<std::string>& exposed,
                        const std::vector<PublishedPort>& published);

// Ports of a container in GET /containers/json: [{"IP", "PrivatePort", "PublicPort", "Type"}].
json::Array ports_summary_json(const std::vector<std::string>& exposed,
                               const std::vector<PublishedPort>& published);

}  // namespace holdfast
