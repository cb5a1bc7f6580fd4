#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/json.h"
#include "engine/container.h"

namespace holdfast {

// Host paths and numbers of a container that its record doesn't hold.
struct ContainerFiles {
  std::string folder;  // containers/<id>
  std::string log;
};

// How big a container is: its writable layer, and that with its image.
struct ContainerSize {
  std::int64_t writable = 0;
  std::int64_t root = 0;
};

// Host path of a volume's files, empty if it is unknown.
using VolumeMountpoint = std::function<std::string(const std::string& name)>;

// GET /containers/{id}/json of API 1.50. `exec_ids` are those of its running execs.
json::Object inspect_json(const Container& container, const ContainerFiles& files,
                          const VolumeMountpoint& mountpoint_of,
                          const std::vector<std::string>& exec_ids,
                          const std::optional<ContainerSize>& size);

// One entry of GET /containers/json.
json::Object summary_json(const Container& container, const std::string& image_name,
                          const VolumeMountpoint& mountpoint_of,
                          const std::optional<ContainerSize>& size);

// The Mounts of inspect and of the summary.
json::Array mounts_json(const std::vector<MountPoint>& mounts,
                        const VolumeMountpoint& mountpoint_of);

// "Up 3 minutes (Paused)", "Exited (0) 2 hours ago", … as of `reference`.
std::string status_text(const ContainerState& state, Time reference);

// "About a minute", "3 hours", … as go-units has it.
std::string human_duration(std::chrono::nanoseconds duration);

}  // namespace holdfast
