#include "storage/volume/volume.h"

namespace holdfast {
namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool has_only_allowed(std::string_view name) {
  if (name.empty() || !is_alphanumeric(name[0])) return false;
  for (char c : name) {
    if (!is_alphanumeric(c) && c != '_' && c != '.' && c != '-') return false;
  }
  return true;
}

}  // namespace

Status check_volume_name(std::string_view name) {
  if (name.size() == 1)
    return fail(Code::kInvalidArgument,
                "volume name is too short, names should be at least two alphanumeric characters");
  if (!has_only_allowed(name))
    return fail(Code::kInvalidArgument,
                "\"{}\" includes invalid characters for a local volume name, only "
                "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                "directory, use absolute path",
                name);
  if (name.size() > 255)
    return fail(Code::kInvalidArgument, "volume name is too long, the limit is 255 characters");
  return {};
}

}  // namespace holdfast
