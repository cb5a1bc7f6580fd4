#include "wire/registry_auth.h"

#include "base/base64.h"
#include "base/json.h"

namespace holdfast::wire {

std::string encode_registry_auth(const RegistryAuth& auth) {
  json::Object object;
  auto add = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) object[key] = value;
  };
  add("username", auth.username);
  add("password", auth.password);
  add("serveraddress", auth.server_address);
  add("identitytoken", auth.identity_token);
  add("registrytoken", auth.registry_token);
  return base64url_encode(json::serialize(object));
}

Result<RegistryAuth> decode_registry_auth(std::string_view header) {
  RegistryAuth auth;
  if (header.empty()) return auth;
  auto invalid = [](Error error) {
    return std::move(error).wrap("invalid X-Registry-Auth header");
  };
  ASSIGN_OR_RETURN(auto text, base64_decode(header).map_error(invalid));
  if (text.empty()) return auth;
  ASSIGN_OR_RETURN(auto object, json::parse_object(text).map_error(invalid));
  auto read = [&](std::string_view key, std::string& target) -> Status {
    ASSIGN_OR_RETURN(target, json::get_string(object, key).map_error(invalid));
    return {};
  };
  RETURN_IF_ERROR(read("username", auth.username));
  RETURN_IF_ERROR(read("password", auth.password));
  RETURN_IF_ERROR(read("serveraddress", auth.server_address));
  RETURN_IF_ERROR(read("identitytoken", auth.identity_token));
  RETURN_IF_ERROR(read("registrytoken", auth.registry_token));
  std::string pair;
  RETURN_IF_ERROR(read("auth", pair));
  if (!pair.empty() && auth.username.empty()) {
    ASSIGN_OR_RETURN(pair, base64_decode(pair).map_error(invalid));
    auto colon = pair.find(':');
    auth.username = pair.substr(0, colon);
    if (colon != std::string::npos) auth.password = pair.substr(colon + 1);
  }
  return auth;
}

}  // namespace holdfast::wire
