#include "client/run/network_spec.h"

#include <algorithm>

#include "client/flags.h"
#include "client/run/value_specs.h"

namespace holdfast::client {
namespace {

json::Object& member_object(json::Object& object, std::string_view key) {
  json::Value& value = object[key];
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

Status apply(NetworkSpec& spec, const std::string& key, const std::string& value) {
  if (key == "name") {
    spec.name = value;
  } else if (key == "alias") {
    append_string(spec.endpoint, "Aliases", value);
  } else if (key == "ip") {
    member_object(spec.endpoint, "IPAMConfig")["IPv4Address"] = value;
  } else if (key == "ip6") {
    member_object(spec.endpoint, "IPAMConfig")["IPv6Address"] = value;
  } else if (key == "link-local-ip") {
    append_string(member_object(spec.endpoint, "IPAMConfig"), "LinkLocalIPs", value);
  } else if (key == "mac-address") {
    spec.endpoint["MacAddress"] = value;
  } else if (key == "driver-opt") {
    if (std::find(value.begin(), value.end(), '=') == value.end())
      return fail(Code::kInvalidArgument, "invalid key value pair format in driver options");
    json::Object& options = member_object(spec.endpoint, "DriverOpts");
    for (const auto& [name, text] : pairs_to_object({value})) options[name] = text;
  } else if (key == "gw-priority") {
    auto number = parse_go_int(value);
    if (!number) return fail(Code::kInvalidArgument, "invalid gw-priority: {}", value);
    spec.endpoint["GwPriority"] = *number;
  } else {
    return fail(Code::kInvalidArgument, "invalid field key {}", key);
  }
  return {};
}

}  // namespace

void append_string(json::Object& object, std::string_view key, std::string_view value) {
  json::Value& list = object[key];
  if (!list.is_array()) list.emplace_array();
  list.get_array().emplace_back(value);
}

bool is_user_defined_network(std::string_view name) {
  return name != "default" && name != "bridge" && name != "host" && name != "none" &&
         !name.starts_with("container:");
}

Result<NetworkSpec> parse_network_spec(std::string_view text) {
  NetworkSpec spec;
  if (text.find('=') == std::string_view::npos) {
    spec.name = text;
    return spec;
  }
  ASSIGN_OR_RETURN(auto fields, split_csv(text));
  for (const auto& field : fields) {
    auto equals = std::find(field.begin(), field.end(), '=');
    if (equals == field.end())
      return fail(Code::kInvalidArgument, "invalid field {} must be a key=value pair", field);
    std::string key(field.begin(), equals);
    std::transform(key.begin(), key.end(), key.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    RETURN_IF_ERROR(apply(spec, key, std::string(equals + 1, field.end())));
  }
  if (spec.name.empty()) return fail(Code::kInvalidArgument, "network name/id is not specified");
  return spec;
}

}  // namespace holdfast::client
