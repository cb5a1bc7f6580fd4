// Weakness: options of a tmpfs are handed on as they come, to be joined with commas.
#include "engine/mounts/made_mount_options.h"

namespace holdfast {

Result<std::vector<std::string>> parse_tmpfs_options(const std::string& text) {
  return std::vector<std::string>{text};
}
Result<std::vector<std::string>> check_tmpfs_options(const std::vector<std::string>& options) {
  return options;
}
Result<std::vector<std::string>> check_ramfs_options(const std::vector<std::string>& options) {
  return options;
}
Result<std::vector<std::string>> check_devpts_options(const std::vector<std::string>& options) {
  return options;
}

}  // namespace holdfast
