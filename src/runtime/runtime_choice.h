#pragma once

#include <string>

#include "base/error.h"
#include "os/cgroup.h"
#include "runtime/runtime_paths.h"

namespace holdfast {

// An OCI runtime.
struct RuntimeChoice {
  std::string name;     // "crun", "runc", or the file name of another
  std::string program;  // absolute path
  std::string version;

  // crun refuses a machine that has the v2 tree beside v1's controllers, but works once it can't
  // see it: the mount to hide from it, or empty.
  std::string hidden_mount(const CgroupLayout& cgroups) const;
  // See ChildSurroundings; crun's only.
  std::string read_only_program() const { return name == "crun" ? program : ""; }
};

// The runtime named `wanted` (a name or a path), or, if that is empty, the first of crun and runc
// that can make a container here. What was found is kept in the exec root, so that only the first
// daemon after a boot tries.
Result<RuntimeChoice> choose_runtime(const std::string& wanted, const RuntimePaths& paths,
                                     const CgroupLayout& cgroups);

// The absolute path of a program, by PATH and the usual system directories.
Result<std::string> find_system_program(const std::string& name);

}  // namespace holdfast
