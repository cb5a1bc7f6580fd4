#include "client/run/port_spec.h"

#include <arpa/inet.h>

#include <charconv>
#include <optional>

namespace holdfast::client {
namespace {

struct Range {
  unsigned first = 0, last = 0;
};

std::optional<unsigned> parse_port(std::string_view text) {
  unsigned port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || port > 65535)
    return std::nullopt;
  return port;
}

std::optional<Range> parse_range(std::string_view text) {
  auto dash = text.find('-');
  auto first = parse_port(text.substr(0, dash));
  auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return Range{*first, *last};
}

Result<std::string> split_protocol(std::string_view& text) {
  auto slash = text.find('/');
  std::string protocol = "tcp";
  if (slash != std::string_view::npos) {
    protocol = text.substr(slash + 1);
    for (char& c : protocol) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    text = text.substr(0, slash);
  }
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp")
    return fail(Code::kInvalidArgument, "invalid proto: {}", protocol);
  return protocol;
}

bool valid_address(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

// [ip:][host:]container, with IPv6 addresses in brackets.
struct Parts {
  std::string ip, host;
  std::string_view container;
};

Result<Parts> split_parts(std::string_view text) {
  Parts parts;
  auto last = text.rfind(':');
  parts.container = last == std::string_view::npos ? text : text.substr(last + 1);
  if (last == std::string_view::npos) return parts;
  text = text.substr(0, last);
  auto colon = text.rfind(':');
  bool ends_in_bracket = text.ends_with(']');
  if (colon == std::string_view::npos || ends_in_bracket) {
    if (!ends_in_bracket) {
      parts.host = text;
      return parts;
    }
    parts.ip = text;
  } else {
    parts.host = text.substr(colon + 1);
    parts.ip = text.substr(0, colon);
  }
  if (parts.ip.starts_with('[') && parts.ip.ends_with(']'))
    parts.ip = parts.ip.substr(1, parts.ip.size() - 2);
  else if (parts.ip.find(':') != std::string::npos)
    return fail(Code::kInvalidArgument, "invalid IP address: {}", parts.ip);
  if (!parts.ip.empty() && !valid_address(parts.ip))
    return fail(Code::kInvalidArgument, "invalid IP address: {}", parts.ip);
  return parts;
}

void add_binding(PortMap& ports, const std::string& key, const std::string& ip,
                 const std::string& host_port) {
  ports.exposed[key] = json::Object{};
  json::Value& list = ports.bindings[key];
  if (!list.is_array()) list.emplace_array();
  list.get_array().push_back(json::Object{{"HostIp", ip}, {"HostPort", host_port}});
}

}  // namespace

Status add_published_port(std::string_view text, PortMap& ports) {
  std::string_view rest = text;
  auto slash = rest.rfind('/');
  std::string_view tail = slash == std::string_view::npos ? rest : rest.substr(0, slash);
  ASSIGN_OR_RETURN(auto parts, split_parts(tail));
  std::string_view with_protocol = slash == std::string_view::npos ? "" : rest.substr(slash);
  std::string container_text = std::string(parts.container) + std::string(with_protocol);
  std::string_view container_view = container_text;
  if (parts.container.empty())
    return fail(Code::kInvalidArgument, "no port specified: {}<empty>", text);
  auto container = parse_range(parts.container);
  if (!container) return fail(Code::kInvalidArgument, "invalid containerPort: {}", parts.container);
  ASSIGN_OR_RETURN(auto protocol, split_protocol(container_view));
  std::optional<Range> host;
  if (!parts.host.empty()) {
    host = parse_range(parts.host);
    if (!host) return fail(Code::kInvalidArgument, "invalid hostPort: {}", parts.host);
  }
  unsigned count = container->last - container->first;
  // A range of host ports for one container port means: any of these.
  bool any_of = host && count == 0 && host->last > host->first;
  if (host && !any_of && host->last - host->first != count)
    return fail(Code::kInvalidArgument,
                "invalid ranges specified for container and host Ports: {} and {}", parts.container,
                parts.host);
  for (unsigned i = 0; i <= count; ++i) {
    std::string host_port = any_of ? parts.host : host ? fmt::format("{}", host->first + i) : "";
    add_binding(ports, fmt::format("{}/{}", container->first + i, protocol), parts.ip, host_port);
  }
  return {};
}

Status add_exposed_port(std::string_view text, PortMap& ports) {
  if (text.find(':') != std::string_view::npos)
    return fail(Code::kInvalidArgument, "invalid port format for --expose: {}", text);
  std::string_view range_text = text;
  ASSIGN_OR_RETURN(auto protocol, split_protocol(range_text));
  auto range = parse_range(range_text);
  if (!range) return fail(Code::kInvalidArgument, "invalid range format for --expose: {}", text);
  for (unsigned port = range->first; port <= range->last; ++port)
    ports.exposed[fmt::format("{}/{}", port, protocol)] = json::Object{};
  return {};
}

}  // namespace holdfast::client
