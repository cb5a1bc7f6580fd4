#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast {

// Where the control group hierarchies of this machine are mounted (cgroups(7)).
struct CgroupLayout {
  enum class Mode {
    kNone,
    kV1,
    kHybrid,
    kV2
  };  // hybrid: controllers on v1, and an empty v2 tree beside them

  Mode mode = Mode::kNone;
  std::string unified;  // mount point of the v2 tree, or empty
  std::map<std::string, std::string>
      controllers;  // "memory", "cpu", "name=systemd", … → mount point

  bool has(const std::string& controller) const { return controllers.contains(controller); }

  // As the mount table of this process's namespace has it.
  static Result<CgroupLayout> detect();

  // From the text of a mountinfo file and, for v2, of cgroup.controllers.
  static CgroupLayout parse(std::string_view mountinfo, std::string_view v2_controllers);
};

}  // namespace holdfast
