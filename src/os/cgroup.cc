#include "os/cgroup.h"

#include "base/file.h"
#include "os/mountinfo.h"

namespace holdfast {
namespace {

// What a v1 hierarchy's mount options name besides controllers.
bool is_mount_flag(std::string_view option) {
  return option == "rw" || option == "ro" || option == "xattr" || option == "noprefix" ||
         option == "clone_children" || option == "nsdelegate" || option == "seclabel" ||
         option.starts_with("release_agent=");
}

void add_words(CgroupLayout& layout, std::string_view words, char separator,
               const std::string& mount) {
  while (!words.empty()) {
    auto end = words.find(separator);
    auto word = words.substr(0, end);
    if (!word.empty() && !is_mount_flag(word)) layout.controllers.emplace(word, mount);
    words.remove_prefix(end == std::string_view::npos ? words.size() : end + 1);
  }
}

}  // namespace

CgroupLayout CgroupLayout::parse(std::string_view mountinfo, std::string_view v2_controllers) {
  CgroupLayout layout;
  bool v1 = false;
  for (const auto& entry : parse_mount_table(mountinfo)) {
    if (entry.type == "cgroup2" && layout.unified.empty()) layout.unified = entry.target;
    if (entry.type != "cgroup") continue;
    add_words(layout, entry.super_options, ',', entry.target);
    v1 = true;
  }
  if (!layout.unified.empty()) {
    while (v2_controllers.ends_with('\n')) v2_controllers.remove_suffix(1);
    add_words(layout, v2_controllers, ' ', layout.unified);
    layout.mode = v1 ? Mode::kHybrid : Mode::kV2;
  } else if (v1) {
    layout.mode = Mode::kV1;
  }
  return layout;
}

Result<CgroupLayout> CgroupLayout::detect() {
  ASSIGN_OR_RETURN(auto mountinfo, read_file("/proc/self/mountinfo", 256 << 20));
  auto layout = parse(mountinfo, "");
  if (layout.unified.empty()) return layout;
  ASSIGN_OR_RETURN(auto controllers, read_file(layout.unified + "/cgroup.controllers"));
  return parse(mountinfo, controllers);
}

}  // namespace holdfast
