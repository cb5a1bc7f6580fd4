#pragma once

#include <functional>
#include <string>

#include "engine/container.h"
#include "runtime/oci_spec.h"

namespace holdfast {

// What the spec of one container needs beside its record.
struct SpecInputs {
  BorrowedFd image_root{-1};  // for users and groups
  std::string netns;          // path of its network namespace; empty: the host's
  // Path of a namespace ("ipc", "pid") of another container, by name or id; kNotFound, or kConflict
  // when it doesn't run.
  std::function<Result<std::string>(const std::string& container, const std::string& kind)>
      namespace_of;
};

// Turns a container's Config and HostConfig into what the runtime takes, but for the mounts.
// kInvalidArgument in Docker's words for what cannot be done.
Result<ContainerSpec> build_spec(const ContainerId& id, const ContainerData& data,
                                 const SpecInputs& inputs);

// Memory, CPU and the other limits of a HostConfig.
Result<ContainerResources> resources_of(const json::Object& host_config);

}  // namespace holdfast
