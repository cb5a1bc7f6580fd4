#pragma once

#include <map>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "wire/registry_auth.h"

namespace holdfast::client {

// The user's config.json, shared with Docker's client: credentials, where credential helpers keep
// them, and defaults for a few options. Members we don't know are kept when it is written.
class DockerConfig {
 public:
  // A missing file is an empty configuration; one that isn't JSON is an error naming it.
  static Result<DockerConfig> load(const std::string& directory);

  const std::string& path() const { return path_; }
  // A member such as "detachKeys" or "psFormat"; empty when absent.
  std::string text(std::string_view member) const { return json::string_or(values_, member); }

  // Credentials for a registry ("docker.io" or host[:port]); empty when there are none. Asks the
  // credential helper that credHelpers or credsStore names.
  Result<wire::RegistryAuth> auth_for(const std::string& registry) const;

  // Keeps or forgets credentials, in the helper if one is configured, else in the file (mode 0600).
  Status store(const std::string& registry, const wire::RegistryAuth& auth);
  // False when there was nothing to forget.
  Result<bool> erase(const std::string& registry);

 private:
  std::string helper_for(const std::string& key) const;
  Status save() const;

  std::string path_;
  json::Object values_;
};

}  // namespace holdfast::client
