#include "engine/mounts/glob_mounts.h"

#include <glob.h>

#include <algorithm>
#include <set>

#include "engine/mounts/mount_plan.h"
#include "engine/mounts/protected_paths.h"

namespace holdfast {
namespace {

Result<std::vector<std::string>> matches(const std::string& pattern) {
  glob_t found = {};
  int result = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (result == 0) return paths;
  if (result == GLOB_NOMATCH)
    return invalid_mount_config("glob", "no file paths matching glob \"" + pattern + "\"");
  return invalid_mount_config("glob", "cannot read what glob \"" + pattern + "\" names");
}

Status expand(const MountPoint& glob, std::vector<MountPoint>& expanded) {
  ASSIGN_OR_RETURN(auto paths, matches(glob.source));
  for (const auto& path : paths) {
    MountPoint mount = glob;
    mount.type = MountType::kBind;
    mount.source = clean_path(path);
    mount.target = glob.target.empty()
                       ? mount.source
                       : clean_path(glob.target + mount.source.substr(mount.source.rfind('/')));
    if (auto allowed = check_mount_target(mount); !allowed)
      return invalid_mount_config("glob", allowed.error().message);
    expanded.push_back(std::move(mount));
  }
  return {};
}

}  // namespace

Status expand_globs(std::vector<MountPoint>& mounts) {
  bool any = std::any_of(mounts.begin(), mounts.end(),
                         [](const MountPoint& mount) { return mount.type == MountType::kGlob; });
  if (!any) return {};
  std::vector<MountPoint> expanded;
  for (auto& mount : mounts) {
    if (mount.type == MountType::kGlob)
      RETURN_IF_ERROR(expand(mount, expanded));
    else
      expanded.push_back(std::move(mount));
  }
  std::set<std::string> targets;
  for (const auto& mount : expanded) {
    if (!targets.insert(mount.target).second)
      return fail(Code::kInvalidArgument, "Duplicate mount point: {}", mount.target);
  }
  order_by_depth(expanded);
  mounts = std::move(expanded);
  return {};
}

}  // namespace holdfast
