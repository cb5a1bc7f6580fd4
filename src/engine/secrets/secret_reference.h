#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "engine/mounts/mount_plan.h"
#include "engine/secrets/secrets.h"

namespace holdfast {

// One secret as a container has it: a file of its own.
struct SecretReference {
  SecretId id;
  std::string name;    // the secret's, for people
  std::string target;  // absolute and clean, as the container sees it
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t mode = 0444;

  // Whether it lies in the directory that all secrets but those with a target elsewhere share.
  bool in_directory() const;
};

constexpr const char* kSecretsDirectory = "/run/secrets";

// HostConfig.Secrets of a request, an extension of Docker's API: [{"Source": name or id, "Target":
// path, "UID": "0", "GID": "0", "Mode": 292}], all but Source optional. Secrets are looked up and
// targets made absolute. kNotFound and kInvalidArgument name the secret.
Result<std::vector<SecretReference>> parse_secret_references(const json::Array& array,
                                                             const Secrets& secrets);

// That no target is another's, beneath another's, or beneath or in place of what `mounts` mount.
Status check_secret_targets(const std::vector<SecretReference>& references,
                            const std::vector<MountPoint>& mounts);

// As the container's record holds them, and inspect shows them: Source is the secret's id.
json::Array to_json(const std::vector<SecretReference>& references);
std::vector<SecretReference> secret_references_from(const json::Object& host_config);

}  // namespace holdfast
