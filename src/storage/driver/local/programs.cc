#include "storage/driver/local/programs.h"

#include <unistd.h>

namespace holdfast {

std::optional<std::string> system_program(const std::string& name) {
  for (const char* directory : {"/sbin/", "/usr/sbin/"}) {
    std::string path = directory + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

}  // namespace holdfast
