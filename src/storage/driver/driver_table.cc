#include "storage/driver/driver_table.h"

namespace holdfast {
namespace {
constexpr const char* kLocal = "local";
}

Result<VolumeDriver*> DriverTable::find(const std::string& name) {
  if (name == kLocal) return &local_;
  if (is_plugin_name(name)) return &plugins_.driver(name);
  return fail(Code::kNotFound, "error looking up volume plugin {}: plugin \"{}\" not found", name,
              name);
}

Status DriverTable::known(const std::string& name) const {
  if (name == kLocal) return {};
  return plugins_.known(name);
}

std::vector<std::string> DriverTable::names() const {
  auto names = plugins_.names();
  std::erase(names, kLocal);
  names.insert(names.begin(), kLocal);
  return names;
}

}  // namespace holdfast
