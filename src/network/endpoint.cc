#include <algorithm>

#include "network/attachment_file.h"
#include "network/networks.h"

namespace holdfast {
namespace {

json::Value strings_or_null(const std::vector<std::string>& strings) {
  if (strings.empty()) return nullptr;
  return json::from_strings(strings);
}

json::Array ports_to_json(const std::vector<PublishedPort>& ports) {
  json::Array array;
  for (const PublishedPort& one : ports)
    array.push_back(json::Object{
        {"Port", one.port.str()}, {"HostIp", one.host_ip}, {"HostPort", one.host_port}});
  return array;
}

}  // namespace

Result<NetworkMode> parse_network_mode(std::string_view text) {
  using Kind = NetworkMode::Kind;
  if (text.empty() || text == "default" || text == "bridge")
    return NetworkMode{Kind::kNetwork, "bridge"};
  if (text == "host") return NetworkMode{Kind::kHost, {}};
  if (text == "none") return NetworkMode{Kind::kNone, {}};
  constexpr std::string_view kContainer = "container:";
  if (!text.starts_with(kContainer)) return NetworkMode{Kind::kNetwork, std::string(text)};
  text.remove_prefix(kContainer.size());
  if (text.empty())
    return fail(Code::kInvalidArgument, "invalid container format container:<name|id>");
  return NetworkMode{Kind::kContainer, std::string(text)};
}

Result<Endpoint> Endpoint::from_json(std::string_view network, const json::Object& settings) {
  Endpoint endpoint;
  endpoint.network = network;
  ASSIGN_OR_RETURN(endpoint.aliases, json::get_strings(settings, "Aliases"));
  ASSIGN_OR_RETURN(endpoint.links, json::get_strings(settings, "Links"));
  ASSIGN_OR_RETURN(endpoint.driver_options, json::get_string_map(settings, "DriverOpts"));
  ASSIGN_OR_RETURN(endpoint.requested_mac, json::get_string(settings, "MacAddress"));
  ASSIGN_OR_RETURN(const std::int64_t priority, json::get_int(settings, "GwPriority"));
  endpoint.gateway_priority =
      static_cast<int>(std::clamp<std::int64_t>(priority, INT32_MIN, INT32_MAX));
  ASSIGN_OR_RETURN(const json::Object ipam, json::get_object(settings, "IPAMConfig"));
  ASSIGN_OR_RETURN(endpoint.requested_ipv4, json::get_string(ipam, "IPv4Address"));
  ASSIGN_OR_RETURN(endpoint.requested_ipv6, json::get_string(ipam, "IPv6Address"));
  return endpoint;
}

json::Object Endpoint::to_json() const {
  json::Value ipam = nullptr;
  if (!requested_ipv4.empty() || !requested_ipv6.empty()) {
    json::Object object;
    if (!requested_ipv4.empty()) object["IPv4Address"] = requested_ipv4;
    if (!requested_ipv6.empty()) object["IPv6Address"] = requested_ipv6;
    ipam = std::move(object);
  }
  json::Value driver = nullptr;
  if (!driver_options.empty()) driver = json::from_string_map(driver_options);
  return {{"IPAMConfig", ipam},
          {"Links", strings_or_null(links)},
          {"Aliases", strings_or_null(aliases)},
          {"MacAddress", mac.empty() ? requested_mac : mac},
          {"DriverOpts", driver},
          {"GwPriority", gateway_priority},
          {"NetworkID", network_id.str()},
          {"EndpointID", endpoint_id},
          {"Gateway", ipv4_gateway},
          {"IPAddress", ipv4},
          {"IPPrefixLen", ipv4_prefix},
          {"IPv6Gateway", ipv6_gateway},
          {"GlobalIPv6Address", ipv6},
          {"GlobalIPv6PrefixLen", ipv6_prefix},
          {"DNSNames", strings_or_null(dns_names)}};
}

std::string attachment_document(const Attachment& attachment) {
  json::Array endpoints;
  for (const Endpoint& endpoint : attachment.endpoints) {
    json::Object object = endpoint.to_json();
    object["Network"] = endpoint.network;
    object["NetworkName"] = endpoint.network_name;
    object["Interface"] = endpoint.interface;
    object["RequestedMac"] = endpoint.requested_mac;
    endpoints.push_back(std::move(object));
  }
  return json::serialize(json::Object{{"Container", attachment.container.str()},
                                      {"Name", attachment.container_name},
                                      {"Hostname", attachment.hostname},
                                      {"Netns", attachment.netns},
                                      {"Endpoints", endpoints},
                                      {"Ports", ports_to_json(attachment.ports)},
                                      {"Dns", json::from_strings(attachment.dns)}});
}

namespace {

Result<Endpoint> parse_endpoint(const json::Object& object) {
  ASSIGN_OR_RETURN(Endpoint endpoint,
                   Endpoint::from_json(json::string_or(object, "Network"), object));
  endpoint.mac = json::string_or(object, "MacAddress");
  endpoint.requested_mac = json::string_or(object, "RequestedMac");
  endpoint.network_id = NetworkId(json::string_or(object, "NetworkID"));
  endpoint.network_name = json::string_or(object, "NetworkName");
  endpoint.endpoint_id = json::string_or(object, "EndpointID");
  endpoint.interface = json::string_or(object, "Interface");
  endpoint.ipv4 = json::string_or(object, "IPAddress");
  endpoint.ipv4_prefix = static_cast<int>(json::int_or(object, "IPPrefixLen"));
  endpoint.ipv4_gateway = json::string_or(object, "Gateway");
  endpoint.ipv6 = json::string_or(object, "GlobalIPv6Address");
  endpoint.ipv6_prefix = static_cast<int>(json::int_or(object, "GlobalIPv6PrefixLen"));
  endpoint.ipv6_gateway = json::string_or(object, "IPv6Gateway");
  endpoint.dns_names = json::strings_or_empty(object, "DNSNames");
  return endpoint;
}

}  // namespace

Result<Attachment> parse_attachment(const std::string& document) {
  ASSIGN_OR_RETURN(const json::Object object, json::parse_object(document));
  Attachment attachment;
  attachment.container = ContainerId(json::string_or(object, "Container"));
  attachment.container_name = json::string_or(object, "Name");
  attachment.hostname = json::string_or(object, "Hostname");
  attachment.netns = json::string_or(object, "Netns");
  attachment.dns = json::strings_or_empty(object, "Dns");
  for (const json::Value& value : json::array_or_empty(object, "Endpoints")) {
    if (!value.is_object()) continue;
    ASSIGN_OR_RETURN(Endpoint endpoint, parse_endpoint(value.get_object()));
    attachment.endpoints.push_back(std::move(endpoint));
  }
  for (const json::Value& value : json::array_or_empty(object, "Ports")) {
    if (!value.is_object()) continue;
    const json::Object& one = value.get_object();
    ASSIGN_OR_RETURN(const ContainerPort port, ContainerPort::parse(json::string_or(one, "Port")));
    attachment.ports.push_back({port, json::string_or(one, "HostIp"),
                                static_cast<std::uint16_t>(json::int_or(one, "HostPort"))});
  }
  if (attachment.container.empty()) return fail(Code::kDataLoss, "attachment without a container");
  return attachment;
}

}  // namespace holdfast
