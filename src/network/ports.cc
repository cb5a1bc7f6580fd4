#include "network/ports.h"

#include <charconv>
#include <map>
#include <optional>

#include "network/address.h"

namespace holdfast {
namespace {

std::optional<std::uint16_t> parse_number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end() || text.empty() || value > 65535)
    return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

std::optional<Protocol> parse_protocol(std::string_view text) {
  if (text.empty() || text == "tcp" || text == "TCP") return Protocol::kTcp;
  if (text == "udp" || text == "UDP") return Protocol::kUdp;
  if (text == "sctp" || text == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

Result<PortRequest> parse_binding(const ContainerPort& port, const json::Object& binding) {
  PortRequest request{port, {}, 0, 0};
  ASSIGN_OR_RETURN(request.host_ip, json::get_string(binding, "HostIp"));
  if (!request.host_ip.empty() && !IpAddress::parse(request.host_ip))
    return fail(Code::kInvalidArgument, "invalid IP address: {}", request.host_ip);
  ASSIGN_OR_RETURN(const std::string text, json::get_string(binding, "HostPort"));
  if (text.empty()) return request;
  const auto dash = text.find('-');
  const auto first = parse_number(std::string_view(text).substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : parse_number(std::string_view(text).substr(dash + 1));
  if (!first || !last || *last < *first)
    return fail(Code::kInvalidArgument, "invalid port specification: \"{}\"", text);
  request.first = *first;
  request.last = *last;
  return request;
}

}  // namespace

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      return "sctp";
  }
  return "tcp";
}

Result<ContainerPort> ContainerPort::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto number = parse_number(text.substr(0, slash));
  const auto protocol =
      parse_protocol(slash == std::string_view::npos ? "" : text.substr(slash + 1));
  if (!protocol) return fail(Code::kInvalidArgument, "invalid proto: {}", text.substr(slash + 1));
  if (!number || *number == 0)
    return fail(Code::kInvalidArgument, "invalid port specification: \"{}\"", text);
  return ContainerPort{*number, *protocol};
}

std::string ContainerPort::str() const { return fmt::format("{}/{}", number, to_string(protocol)); }

Result<std::vector<PortRequest>> parse_port_bindings(const json::Object& bindings) {
  std::vector<PortRequest> requests;
  for (const auto& [key, value] : bindings) {
    ASSIGN_OR_RETURN(const ContainerPort port, ContainerPort::parse(key));
    // Docker's clients send null or [] for "any free port" (docker run -p 80).
    if (value.is_null() || (value.is_array() && value.get_array().empty())) {
      requests.push_back({port, {}, 0, 0});
      continue;
    }
    if (!value.is_array())
      return fail(Code::kInvalidArgument, "invalid port binding of \"{}\"", std::string_view(key));
    for (const json::Value& entry : value.get_array()) {
      if (!entry.is_object())
        return fail(Code::kInvalidArgument, "invalid port binding of \"{}\"",
                    std::string_view(key));
      ASSIGN_OR_RETURN(PortRequest request, parse_binding(port, entry.get_object()));
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

json::Object ports_json(const std::vector<std::string>& exposed,
                        const std::vector<PublishedPort>& published) {
  json::Object ports;
  for (const std::string& port : exposed) {
    const auto parsed = ContainerPort::parse(port);
    ports[parsed ? parsed->str() : port] = nullptr;
  }
  for (const PublishedPort& one : published) {
    json::Value& bindings = ports[one.port.str()];
    if (!bindings.is_array()) bindings = json::Array();
    bindings.get_array().push_back(
        json::Object{{"HostIp", one.host_ip}, {"HostPort", std::to_string(one.host_port)}});
  }
  return ports;
}

json::Array ports_summary_json(const std::vector<std::string>& exposed,
                               const std::vector<PublishedPort>& published) {
  std::map<ContainerPort, std::vector<const PublishedPort*>> ports;
  for (const std::string& text : exposed)
    if (const auto port = ContainerPort::parse(text)) ports[*port];
  for (const PublishedPort& one : published) ports[one.port].push_back(&one);

  json::Array summary;
  for (const auto& [port, bindings] : ports) {
    for (const PublishedPort* one : bindings)
      summary.push_back(json::Object{{"IP", one->host_ip},
                                     {"PrivatePort", port.number},
                                     {"PublicPort", one->host_port},
                                     {"Type", to_string(port.protocol)}});
    if (bindings.empty())
      summary.push_back(
          json::Object{{"PrivatePort", port.number}, {"Type", to_string(port.protocol)}});
  }
  return summary;
}

}  // namespace holdfast
