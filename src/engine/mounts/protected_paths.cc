#include "engine/mounts/protected_paths.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <array>

#include "os/safe_path.h"

namespace holdfast {
namespace {

// Files that only tell of the machine and that nothing of ours reads in a container.
constexpr std::array<std::string_view, 10> kReplaceableInProc = {
    "/proc/cpuinfo", "/proc/diskstats",
    "/proc/meminfo", "/proc/stat",
    "/proc/swaps",   "/proc/uptime",
    "/proc/loadavg", "/proc/slabinfo",
    "/proc/net/dev", "/proc/sys/kernel/ns_last_pid"};

constexpr std::array<std::string_view, 24> kSystemDirectories = {
    "/",      "/bin",    "/boot",  "/dev", "/etc", "/home",    "/lib",  "/lib32",
    "/lib64", "/libx32", "/media", "/mnt", "/opt", "/proc",    "/root", "/run",
    "/sbin",  "/srv",    "/sys",   "/tmp", "/usr", "/usr/bin", "/var",  "/var/lib"};

bool is_or_below(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

tl::unexpected<Error> is_inside(const std::string& target, std::string_view directory) {
  return fail(Code::kInvalidArgument, "\"{}\" cannot be mounted because it is inside {}", target,
              directory);
}

// For a mount that nobody has asked to be there.
Status check_unnamed(const std::string& target) {
  for (const char* directory : {"/proc", "/sys"}) {
    if (is_or_below(target, directory)) return is_inside(target, directory);
  }
  if (is_or_below(target, "/dev") && !is_or_below(target, "/dev/shm"))
    return is_inside(target, "/dev");
  return {};
}

}  // namespace

Status check_mount_target(const MountPoint& mount) {
  bool bind = mount.type == MountType::kBind || mount.type == MountType::kGlob;
  if (mount.target == "/proc" && bind) return {};  // check_proc_source() decides
  if (is_or_below(mount.target, "/proc")) {
    bool replaceable = std::find(kReplaceableInProc.begin(), kReplaceableInProc.end(),
                                 mount.target) != kReplaceableInProc.end();
    if (bind && replaceable) return {};
    return is_inside(mount.target, "/proc");
  }
  bool declared = mount.type == MountType::kVolume && mount.anonymous;
  return declared ? check_unnamed(mount.target) : Status{};
}

Status check_found_target(const MountPoint& mount, const std::string& asked) {
  RETURN_IF_ERROR(check_mount_target(mount));
  return mount.target == asked ? Status{} : check_unnamed(mount.target);
}

Status check_proc_source(BorrowedFd source) {
  struct statfs status = {};
  if (::fstatfs(source.get(), &status) != 0) return fail_errno("statfs");
  if (status.f_type == PROC_SUPER_MAGIC) return {};
  return fail(Code::kInvalidArgument, "\"/proc\" cannot be mounted because it is not of type proc");
}

Status check_root_directories(BorrowedFd root) {
  for (const char* name : {"dev", "proc", "sys"}) {
    struct stat status = {};
    if (::fstatat(root.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      return fail_errno("stat \"/{}\" of the container", name);
    }
    if (!S_ISDIR(status.st_mode))
      return fail(Code::kInvalidArgument,
                  "filesystem on \"/{}\" must be mounted on an ordinary directory: the image has "
                  "something else there",
                  name);
  }
  return {};
}

bool is_system_directory(std::string_view path) {
  return std::find(kSystemDirectories.begin(), kSystemDirectories.end(), path) !=
         kSystemDirectories.end();
}

}  // namespace holdfast
