#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/typed_id.h"

namespace holdfast {

// Spells the paths beneath exec_root; the tree is drawn at class Runtime.
struct RuntimePaths {
  std::string exec_root;

  std::string containers() const { return exec_root + "/containers"; }
  std::string container(const ContainerId& id) const { return containers() + "/" + id.str(); }
  std::string exec(const ContainerId& id, const std::string& exec_id) const {
    return container(id) + "/exec/" + exec_id;
  }
  std::string state(const std::string& runtime) const { return exec_root + "/runtime/" + runtime; }
  std::string choice() const { return exec_root + "/runtime/choice.json"; }
  std::string temporary() const { return exec_root + "/tmp"; }
};

// What is in `directory`; nothing when it cannot be read.
std::vector<std::string> names_in(const std::string& directory);

// Removes `directory` and what a monitor leaves in it. Never descends where a file system could be
// mounted: such a directory must be empty, so that no mistake can delete the data of a volume.
Status remove_monitor_directory(const std::string& directory);

// A directory for a monitor, made anew: what an earlier one left is removed.
Status make_monitor_directory(const std::string& directory);

}  // namespace holdfast
