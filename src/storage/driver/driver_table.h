#pragma once

#include <string>
#include <vector>

#include "storage/driver/local/local_driver.h"
#include "storage/driver/plugin/plugins.h"
#include "storage/driver/volume_driver.h"
#include "storage/volume/layout.h"

namespace holdfast {

// The drivers there are, by name: `local`, and any plugin. Owned by Volumes; thread-safe.
class DriverTable {
 public:
  DriverTable(const VolumeDirectories& directories, PluginOptions plugins,
              const MountDeadlines& deadlines)
      : local_(directories, deadlines), plugins_(std::move(plugins)) {}

  // The driver of a volume on record, for as long as the table lives. A plugin needn't be there:
  // its calls say so. kNotFound for what can't be a driver's name.
  Result<VolumeDriver*> find(const std::string& name);

  // Whether volumes can be made by it now: kNotFound in Docker's words.
  Status known(const std::string& name) const;

  // Those there are now, ordered after `local`.
  std::vector<std::string> names() const;

  Plugins& plugins() { return plugins_; }

 private:
  LocalDriver local_;
  Plugins plugins_;
};

}  // namespace holdfast
