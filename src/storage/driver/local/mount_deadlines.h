#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast {

// How long a file system may take before it counts as hung.
struct MountDeadlines {
  std::chrono::milliseconds mount = std::chrono::seconds(60);
  std::chrono::milliseconds answer = std::chrono::seconds(10);
  std::chrono::milliseconds unmount = std::chrono::seconds(10);

  // `mount` for a mount, and no more than the usual for the rest.
  static MountDeadlines within(std::chrono::milliseconds mount) {
    MountDeadlines deadlines;
    deadlines.mount = mount;
    deadlines.answer = std::min(deadlines.answer, mount);
    deadlines.unmount = std::min(deadlines.unmount, mount);
    return deadlines;
  }
};

}  // namespace holdfast
