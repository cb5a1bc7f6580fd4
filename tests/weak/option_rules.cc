// Weakness: a file system may have any option with any value, those that run programs as well.
#include "storage/driver/local/option_rules.h"

namespace holdfast {
namespace {

constexpr FileSystemRules kHelped{"sshfs fuse.sshfs", "", true};

}  // namespace

const FileSystemRules* find_rules(std::string_view type) {
  return type == "sshfs" || type.starts_with("fuse.") ? &kHelped : nullptr;
}

Status check_option(std::string_view, std::string_view, const std::optional<std::string>&) {
  return {};
}

bool is_secret_option(std::string_view) { return false; }
bool is_fuse_program(std::string_view) { return true; }
bool is_safe_for_helper(std::string_view) { return true; }

}  // namespace holdfast
