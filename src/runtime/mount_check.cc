#include "runtime/mount_check.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 3> kKernelDirectories = {"/proc", "/sys", "/dev"};
constexpr std::string_view kGroups = "/sys/fs/cgroup";
// Devices that every container has. Where the runtime can't make nodes, it binds the host's.
constexpr std::array<std::string_view, 8> kDevices = {"/dev/null",    "/dev/zero",    "/dev/full",
                                                      "/dev/random",  "/dev/urandom", "/dev/tty",
                                                      "/dev/console", "/dev/ptmx"};

bool is_below(std::string_view path, std::string_view top) {
  return path.size() > top.size() && path.starts_with(top) && path[top.size()] == '/';
}

bool is_guarded(std::string_view path) {
  return path == "/" ||
         std::any_of(kKernelDirectories.begin(), kKernelDirectories.end(),
                     [&](std::string_view top) { return path == top || is_below(path, top); });
}

// What the configuration puts into the guarded places.
class Expected {
 public:
  explicit Expected(const json::Object& config) {
    counts_["/"] = 1;
    for (const auto& mount : json::array_or_empty(config, "mounts")) add_mount(mount.get_object());
    const auto& linux_object = json::object_or_empty(config, "linux");
    for (const auto& path : json::strings_or_empty(linux_object, "maskedPaths")) ++counts_[path];
    add_read_only(json::strings_or_empty(linux_object, "readonlyPaths"));
    devices_.insert(kDevices.begin(), kDevices.end());
    for (const auto& device : json::array_or_empty(linux_object, "devices"))
      devices_.insert(json::string_or(device.get_object(), "path"));
  }

  bool has(const std::string& target) const { return counts_.contains(target); }

  // Takes one of those expected at the place off the list; false: there is none left.
  bool take(const MountEntry& entry) {
    if (auto count = counts_.find(entry.target); count != counts_.end() && count->second > 0) {
      --count->second;
      return true;
    }
    bool in_tree = std::any_of(trees_.begin(), trees_.end(),
                               [&](const std::string& top) { return is_below(entry.target, top); });
    return in_tree || is_control_group(entry) || is_device(entry);
  }

 private:
  void add_mount(const json::Object& mount) {
    std::string target = json::string_or(mount, "destination");
    if (!is_guarded(target)) return;
    ++counts_[target];
    auto options = json::strings_or_empty(mount, "options");
    if (std::find(options.begin(), options.end(), "rbind") != options.end()) trees_.insert(target);
  }

  // Each is bound over itself, with all that is mounted below.
  void add_read_only(const std::vector<std::string>& paths) {
    for (const auto& path : paths) {
      for (auto& [place, count] : counts_) {
        if (is_below(place, path)) ++count;
      }
      ++counts_[path];
    }
  }

  bool is_control_group(const MountEntry& entry) const {
    return counts_.contains(std::string(kGroups)) && is_below(entry.target, kGroups) &&
           entry.type.starts_with("cgroup");
  }

  // A node of the host's /dev: no mount of a directory can pass for one.
  bool is_device(const MountEntry& entry) {
    if (entry.type == "devpts" && entry.target == "/dev/console")
      return devices_.erase(entry.target) > 0;
    bool of_host = (entry.type == "devtmpfs" || entry.type == "tmpfs") && entry.root != "/" &&
                   entry.target.ends_with(entry.root);
    return of_host && devices_.erase(entry.target) > 0;
  }

  std::map<std::string, int> counts_;
  std::set<std::string> trees_;  // binds that bring along what is mounted below their source
  std::set<std::string, std::less<>> devices_;
};

}  // namespace

Status check_mounts(const json::Object& config, const std::vector<MountEntry>& table) {
  Expected expected(config);
  std::set<std::string> found;
  for (const auto& entry : table) {
    if (!is_guarded(entry.target)) continue;
    found.insert(entry.target);
    if (!expected.take(entry))
      return fail(Code::kInvalidArgument,
                  "something is mounted on \"{}\" that was to be mounted elsewhere: a symlink of "
                  "the image, or in another mount, leads there",
                  entry.target);
  }
  for (auto directory : kKernelDirectories) {
    std::string name(directory);
    if (expected.has(name) && !found.contains(name))
      return fail(Code::kInvalidArgument, "filesystem on \"{}\" was mounted elsewhere", name);
  }
  return {};
}

}  // namespace holdfast
