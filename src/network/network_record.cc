#include "network/network_record.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace holdfast {
namespace {

Result<IpamConfig> ipam_from_json(const json::Value& value) {
  if (!value.is_object()) return fail(Code::kInvalidArgument, "invalid IPAM config");
  const json::Object& object = value.get_object();
  IpamConfig config;
  ASSIGN_OR_RETURN(config.subnet, json::get_string(object, "Subnet"));
  ASSIGN_OR_RETURN(config.gateway, json::get_string(object, "Gateway"));
  ASSIGN_OR_RETURN(config.ip_range, json::get_string(object, "IPRange"));
  // The API's name, and the one that docker's client has been sending all along.
  ASSIGN_OR_RETURN(config.auxiliary, json::get_string_map(object, "AuxiliaryAddresses"));
  if (config.auxiliary.empty()) {
    ASSIGN_OR_RETURN(config.auxiliary, json::get_string_map(object, "AuxAddress"));
  }
  return config;
}

json::Object ipam_to_json(const IpamConfig& config) {
  json::Object object{{"Subnet", config.subnet}};
  if (!config.ip_range.empty()) object["IPRange"] = config.ip_range;
  if (!config.gateway.empty()) object["Gateway"] = config.gateway;
  if (!config.auxiliary.empty())
    object["AuxiliaryAddresses"] = json::from_string_map(config.auxiliary);
  return object;
}

void check_range(const IpamConfig& config, const Subnet& subnet, std::vector<std::string>& errors) {
  const auto range = Subnet::parse(config.ip_range);
  if (!range)
    errors.push_back(
        fmt::format("invalid ip-range {}: invalid CIDR block notation", config.ip_range));
  else if (range->str() != config.ip_range)
    errors.push_back(
        fmt::format("invalid ip-range {}: it should be {}", config.ip_range, range->str()));
  else if (range->base.is_v6() == subnet.base.is_v6() && range->prefix < subnet.prefix)
    errors.push_back(
        fmt::format("invalid ip-range {}: CIDR block is bigger than its parent subnet {}",
                    config.ip_range, subnet.str()));
  else if (!subnet.contains(*range))
    errors.push_back(fmt::format("invalid ip-range {}: parent subnet {} doesn't contain ip-range",
                                 config.ip_range, subnet.str()));
}

void check_address(std::string_view what, const std::string& text, const Subnet& subnet,
                   std::vector<std::string>& errors) {
  const auto address = IpAddress::parse(text);
  if (!address)
    errors.push_back(fmt::format("invalid {} {}: invalid address", what, text));
  else if (!subnet.contains(*address))
    errors.push_back(fmt::format("invalid {} {}: parent subnet {} doesn't contain this address",
                                 what, text, subnet.str()));
}

void check_config(const IpamConfig& config, bool v6, std::vector<std::string>& errors) {
  const auto subnet = Subnet::parse(config.subnet);
  if (!subnet) {
    errors.push_back(fmt::format("invalid subnet {}: invalid CIDR block notation", config.subnet));
    return;
  }
  if (subnet->str() != config.subnet)
    errors.push_back(
        fmt::format("invalid subnet {}: it should be {}", config.subnet, subnet->str()));
  if (subnet->base.is_v6() && !v6)
    errors.push_back(fmt::format("invalid subnet {}: IPv6 has not been enabled for this network",
                                 config.subnet));
  if (!config.ip_range.empty()) check_range(config, *subnet, errors);
  if (!config.gateway.empty()) check_address("gateway", config.gateway, *subnet, errors);
  for (const auto& [name, address] : config.auxiliary)
    check_address("auxiliary address", address, *subnet, errors);
}

}  // namespace

Result<NetworkSpec> NetworkSpec::from_json(const json::Object& body) {
  NetworkSpec spec;
  ASSIGN_OR_RETURN(spec.name, json::get_string(body, "Name"));
  ASSIGN_OR_RETURN(spec.driver, json::get_string(body, "Driver"));
  if (spec.driver.empty()) spec.driver = "bridge";
  ASSIGN_OR_RETURN(spec.scope, json::get_string(body, "Scope"));
  ASSIGN_OR_RETURN(spec.internal, json::get_bool(body, "Internal"));
  ASSIGN_OR_RETURN(spec.attachable, json::get_bool(body, "Attachable"));
  ASSIGN_OR_RETURN(spec.ingress, json::get_bool(body, "Ingress"));
  ASSIGN_OR_RETURN(spec.config_only, json::get_bool(body, "ConfigOnly"));
  ASSIGN_OR_RETURN(spec.ipv4, json::get_bool(body, "EnableIPv4", true));
  ASSIGN_OR_RETURN(spec.ipv6, json::get_bool(body, "EnableIPv6"));
  ASSIGN_OR_RETURN(spec.options, json::get_string_map(body, "Options"));
  ASSIGN_OR_RETURN(spec.labels, json::get_string_map(body, "Labels"));
  ASSIGN_OR_RETURN(const json::Object ipam, json::get_object(body, "IPAM"));
  ASSIGN_OR_RETURN(spec.ipam_driver, json::get_string(ipam, "Driver"));
  if (spec.ipam_driver.empty()) spec.ipam_driver = "default";
  ASSIGN_OR_RETURN(spec.ipam_options, json::get_string_map(ipam, "Options"));
  ASSIGN_OR_RETURN(const json::Array configs, json::get_array(ipam, "Config"));
  for (const json::Value& value : configs) {
    ASSIGN_OR_RETURN(IpamConfig config, ipam_from_json(value));
    spec.ipam.push_back(std::move(config));
  }
  return spec;
}

bool NetworkRecord::predefined() const {
  return spec.name == "bridge" || spec.name == "host" || spec.name == "none";
}

json::Object NetworkRecord::to_json() const {
  json::Array configs;
  for (const IpamConfig& config : spec.ipam) configs.push_back(ipam_to_json(config));
  json::Value ipam_options = nullptr;
  if (!spec.ipam_options.empty()) ipam_options = json::from_string_map(spec.ipam_options);
  return {
      {"Name", spec.name},
      {"Id", id.str()},
      {"Created", to_rfc3339(created)},
      {"Scope", "local"},
      {"Driver", spec.driver},
      {"EnableIPv4", spec.ipv4},
      {"EnableIPv6", spec.ipv6},
      {"IPAM",
       json::Object{{"Driver", spec.ipam_driver}, {"Options", ipam_options}, {"Config", configs}}},
      {"Internal", spec.internal},
      {"Attachable", spec.attachable},
      {"Ingress", spec.ingress},
      {"ConfigFrom", json::Object{{"Network", ""}}},
      {"ConfigOnly", spec.config_only},
      {"Containers", json::Object()},
      {"Options", json::from_string_map(spec.options)},
      {"Labels", json::from_string_map(spec.labels)}};
}

std::string NetworkRecord::document() const {
  json::Object object = to_json();
  object.erase("Containers");
  object["Bridge"] = bridge;
  object["Chosen"] = chosen;
  return json::serialize(object);
}

Result<NetworkRecord> NetworkRecord::parse(const std::string& document) {
  ASSIGN_OR_RETURN(const json::Object object, json::parse_object(document));
  NetworkRecord record;
  ASSIGN_OR_RETURN(record.spec, NetworkSpec::from_json(object));
  record.id = NetworkId(json::string_or(object, "Id"));
  record.created = parse_rfc3339(json::string_or(object, "Created")).value_or(Time{});
  record.bridge = json::string_or(object, "Bridge");
  record.chosen = json::bool_or(object, "Chosen");
  return record;
}

std::string NetworkRecord::option(const std::string& key) const {
  const auto found = spec.options.find(key);
  return found == spec.options.end() ? "" : found->second;
}

bool NetworkRecord::option_on(const std::string& key) const {
  static constexpr std::string_view kTrue[] = {"1", "t", "T", "true", "TRUE", "True"};
  const std::string value = option(key);
  return std::find(std::begin(kTrue), std::end(kTrue), value) != std::end(kTrue);
}

int NetworkRecord::mtu() const {
  const std::string text = option(kOptionMtu);
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Status check_ipam(const std::vector<IpamConfig>& configs, bool v6) {
  std::vector<std::string> errors;
  for (const IpamConfig& config : configs) {
    // Docker lets a client leave the subnet to the daemon by an entry without one.
    if (config.subnet.empty() && config.gateway.empty() && config.ip_range.empty()) continue;
    check_config(config, v6, errors);
  }
  if (errors.empty()) return {};
  return fail(Code::kInvalidArgument, "invalid network config:\n{}", fmt::join(errors, "\n"));
}

Result<std::vector<AddressPlan>> plan_addresses(std::vector<IpamConfig>& configs) {
  std::vector<AddressPlan> plans;
  for (IpamConfig& config : configs) {
    const auto subnet = Subnet::parse(config.subnet);
    if (!subnet)
      return fail(Code::kDataLoss, "network record: invalid subnet \"{}\"", config.subnet);
    const auto range = Subnet::parse(config.ip_range).value_or(*subnet);
    AddressPlan plan{AddressSpace(*subnet, range), {}};
    for (const auto& [name, text] : config.auxiliary)
      if (const auto address = IpAddress::parse(text)) plan.space.hold(*address);
    if (const auto gateway = IpAddress::parse(config.gateway)) {
      plan.gateway = *gateway;
      plan.space.hold(*gateway);
    } else {
      ASSIGN_OR_RETURN(plan.gateway, plan.space.take_any());
      config.gateway = plan.gateway.str();
    }
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace holdfast
