#pragma once

#include <string>
#include <vector>

#include "storage/driver/local/local_driver.h"
#include "storage/driver/volume_driver.h"
#include "storage/volume/layout.h"

namespace holdfast {

// The drivers there are, by name. Owned by Volumes; thread-safe.
class DriverTable {
 public:
  explicit DriverTable(const VolumeDirectories& directories) : local_(directories) {}

  // kNotFound in Docker's words. The driver lives as long as the table.
  Result<VolumeDriver*> find(const std::string& name);
  std::vector<std::string> names() const;  // ordered

 private:
  LocalDriver local_;
};

}  // namespace holdfast
