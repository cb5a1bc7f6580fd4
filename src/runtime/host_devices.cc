#include "runtime/host_devices.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace holdfast {
namespace {

// Mounts and links of their own in a container's /dev.
constexpr std::array<std::string_view, 9> kLeftOut = {
    "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "core"};

std::optional<HostDevice> to_device(const std::string& path, const struct stat& status) {
  if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)) return std::nullopt;
  HostDevice device;
  device.path = path;
  device.type = S_ISCHR(status.st_mode) ? 'c' : 'b';
  device.major = static_cast<std::int64_t>(major(status.st_rdev));
  device.minor = static_cast<std::int64_t>(minor(status.st_rdev));
  device.mode = status.st_mode & 07777;
  device.uid = status.st_uid;
  device.gid = status.st_gid;
  return device;
}

void collect(const std::string& directory, std::vector<HostDevice>& devices) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (std::find(kLeftOut.begin(), kLeftOut.end(), name) != kLeftOut.end()) continue;
    std::string path = fmt::format("{}/{}", directory, name);
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0) continue;  // gone meanwhile
    if (S_ISDIR(status.st_mode)) {
      collect(path, devices);
    } else if (auto device = to_device(path, status)) {
      devices.push_back(std::move(*device));
    }
  }
}

}  // namespace

Result<std::vector<HostDevice>> devices_at(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    auto error = system_error(errno, "");
    return fail(Code::kInvalidArgument,
                "error gathering device information while adding custom device \"{}\": {}", path,
                error.code == Code::kNotFound ? "no such file or directory" : error.message);
  }
  std::vector<HostDevice> devices;
  if (S_ISDIR(status.st_mode)) {
    collect(path, devices);
  } else if (auto device = to_device(path, status)) {
    devices.push_back(std::move(*device));
  }
  if (devices.empty()) {
    return fail(Code::kInvalidArgument,
                "error gathering device information while adding custom device \"{}\": not a "
                "device node",
                path);
  }
  return devices;
}

std::vector<HostDevice> all_host_devices(const std::string& directory) {
  std::vector<HostDevice> devices;
  collect(directory, devices);
  return devices;
}

}  // namespace holdfast
