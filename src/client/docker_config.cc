#include "client/docker_config.h"

#include <algorithm>

#include "base/base64.h"
#include "base/file.h"
#include "base/process.h"
#include "client/image_reference.h"

namespace holdfast::client {
namespace {

Result<CommandOutput> run_helper(const std::string& helper, const std::string& verb,
                                 std::string_view input) {
  ProcessOptions options;
  options.argv = {"docker-credential-" + helper, verb};
  return run_command(std::move(options), input);
}

// Keys were written with and without scheme over the years.
std::string bare_host(std::string_view key) {
  for (std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  return std::string(key.substr(0, key.find('/')));
}

Result<wire::RegistryAuth> from_helper(const std::string& helper, const std::string& key) {
  wire::RegistryAuth auth;
  ASSIGN_OR_RETURN(auto output, run_helper(helper, "get", key));
  if (!output.status.success()) {
    if (output.out.find("credentials not found") != std::string::npos) return auth;
    return fail(Code::kInternal, "error getting credentials - err: exit status {}, out: `{}`",
                output.status.code, output.out);
  }
  ASSIGN_OR_RETURN(auto object, json::parse_object(output.out));
  auth.username = json::string_or(object, "Username");
  auth.password = json::string_or(object, "Secret");
  if (auth.username == "<token>") {
    auth.identity_token = std::exchange(auth.password, "");
    auth.username.clear();
  }
  return auth;
}

Result<wire::RegistryAuth> from_entry(const json::Object& entry) {
  wire::RegistryAuth auth;
  ASSIGN_OR_RETURN(auto pair, base64_decode(json::string_or(entry, "auth")));
  auto colon = std::find(pair.begin(), pair.end(), ':');
  auth.username.assign(pair.begin(), colon);
  if (colon != pair.end()) auth.password.assign(colon + 1, pair.end());
  auth.identity_token = json::string_or(entry, "identitytoken");
  auth.registry_token = json::string_or(entry, "registrytoken");
  return auth;
}

}  // namespace

Result<DockerConfig> DockerConfig::load(const std::string& directory) {
  DockerConfig config;
  config.path_ = directory + "/config.json";
  auto text = read_file(config.path_);
  if (!text) {
    if (text.error().code == Code::kNotFound) return config;
    return tl::unexpected(std::move(text).error());
  }
  auto values = json::parse_object(*text);
  if (!values)
    return tl::unexpected(
        std::move(values).error().wrap(fmt::format("parsing config file ({})", config.path_)));
  config.values_ = std::move(*values);
  return config;
}

std::string DockerConfig::helper_for(const std::string& key) const {
  std::string helper = json::string_or(json::object_or_empty(values_, "credHelpers"), key);
  return helper.empty() ? json::string_or(values_, "credsStore") : helper;
}

Result<wire::RegistryAuth> DockerConfig::auth_for(const std::string& registry) const {
  std::string key = auth_key(registry);
  std::string helper = helper_for(key);
  wire::RegistryAuth auth;
  if (!helper.empty()) {
    ASSIGN_OR_RETURN(auth, from_helper(helper, key));
  } else {
    for (const auto& [name, entry] : json::object_or_empty(values_, "auths")) {
      bool match = name == key || bare_host(name) == bare_host(key);
      if (!match || !entry.is_object()) continue;
      ASSIGN_OR_RETURN(auth, from_entry(entry.get_object()));
      break;
    }
  }
  if (!auth.empty()) auth.server_address = key;
  return auth;
}

Status DockerConfig::store(const std::string& registry, const wire::RegistryAuth& auth) {
  std::string key = auth_key(registry);
  json::Value& auths = values_["auths"];
  if (!auths.is_object()) auths.emplace_object();
  bool token = !auth.identity_token.empty();
  if (std::string helper = helper_for(key); !helper.empty()) {
    json::Object secret{{"ServerURL", key},
                        {"Username", token ? "<token>" : auth.username},
                        {"Secret", token ? auth.identity_token : auth.password}};
    ASSIGN_OR_RETURN(auto output, run_helper(helper, "store", json::serialize(secret)));
    if (!output.status.success())
      return fail(Code::kInternal, "error storing credentials - err: exit status {}, out: `{}`",
                  output.status.code, output.out);
    auths.get_object()[key] = json::Object{};
    return save();
  }
  json::Object entry{{"auth", base64_encode(auth.username + ":" + auth.password)}};
  if (token) entry["identitytoken"] = auth.identity_token;
  auths.get_object()[key] = std::move(entry);
  return save();
}

Result<bool> DockerConfig::erase(const std::string& registry) {
  std::string key = auth_key(registry);
  json::Value& auths = values_["auths"];
  if (!auths.is_object()) auths.emplace_object();
  if (std::string helper = helper_for(key); !helper.empty()) {
    ASSIGN_OR_RETURN(auto output, run_helper(helper, "erase", key));
    if (!output.status.success())
      return fail(Code::kInternal, "error erasing credentials - err: exit status {}, out: `{}`",
                  output.status.code, output.out);
  }
  if (auths.get_object().erase(key) == 0) return false;
  RETURN_IF_ERROR(save());
  return true;
}

Status DockerConfig::save() const {
  auto folder = path_.substr(0, path_.rfind('/'));
  RETURN_IF_ERROR(make_directories(folder, 0700));
  return write_file_atomic(path_, json::serialize(values_) + "\n", 0600, false);
}

}  // namespace holdfast::client
