#pragma once

#include <string>

#include "base/json.h"

namespace holdfast {

// What POST /containers/create asks for, checked and with every default filled in, in the shapes of
// Docker's API: what is stored in the container's record and shown by inspect is this.
struct ContainerConfig {
  json::Object config;       // Docker's Config
  json::Object host_config;  // Docker's HostConfig
  json::Object
      networking;  // EndpointsConfig of Docker's NetworkingConfig: network name → endpoint settings
  std::string platform;  // "os/arch[/variant]", empty: the host's
};

// Checks the types of all known fields, drops unknown ones, checks values that are wrong whatever
// the image is, and fills in defaults. kInvalidArgument in Docker's words.
struct ConfigDefaults {
  std::string_view runtime;
  bool private_users = false;  // a container has a user namespace of its own unless it says "host"
};
Result<ContainerConfig> parse_container_config(const json::Object& body,
                                               const ConfigDefaults& defaults);

// Lays the image's Config beneath: Env, Cmd, Entrypoint, Labels, WorkingDir, User, ExposedPorts,
// Volumes, StopSignal, Healthcheck, as Docker merges them. kInvalidArgument "no command specified"
// when nothing is left to run.
Status merge_image_config(json::Object& config, const json::Object& image_config);

// Applies what POST /containers/{id}/update changes to a HostConfig; kInvalidArgument leaves it
// untouched.
Status merge_update(json::Object& host_config, const json::Object& update);

}  // namespace holdfast
