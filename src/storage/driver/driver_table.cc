#include "storage/driver/driver_table.h"

namespace holdfast {

Result<VolumeDriver*> DriverTable::find(const std::string& name) {
  if (name == "local") return &local_;
  return fail(Code::kNotFound, "error looking up volume plugin {}: plugin \"{}\" not found", name,
              name);
}

std::vector<std::string> DriverTable::names() const { return {"local"}; }

}  // namespace holdfast
