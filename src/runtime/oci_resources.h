#pragma once

#include "base/json.h"
#include "runtime/oci_spec.h"

namespace holdfast {

// The OCI LinuxResources object without its device rules.
json::Object resources_object(const ContainerResources& resources, const SpecHost& host);

// config.json as an object; see build_config().
Result<json::Object> build_config_object(const ContainerSpec& spec, const SpecHost& host,
                                         const std::string& root_path,
                                         const std::vector<std::string>& stage_paths);

// What a container may reach of devices: nodes to make beyond the runtime's own (null, zero, tty,
// …), and the rules of the devices cgroup.
struct DeviceObjects {
  json::Array nodes;
  json::Array rules;
};
Result<DeviceObjects> build_devices(const ContainerSpec& spec, const SpecHost& host);

}  // namespace holdfast
