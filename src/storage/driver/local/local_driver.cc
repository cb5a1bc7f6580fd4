#include "storage/driver/local/local_driver.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/process.h"
#include "os/loop_device.h"
#include "os/mount.h"
#include "os/mountinfo.h"
#include "storage/driver/local/mount_options.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kHelperDeadline(60);

// errno as Go spells it, which Docker's messages end with.
std::string go_text(int number) {
  char buffer[128];
  std::string text = strerror_r(number, buffer, sizeof buffer);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// "failed to mount local volume: mount /src:/…/_data, flags: 0x1000: no such file or directory"
Error mount_error(const LocalMount& mount, const std::string& target, const Error& cause) {
  std::string text = fmt::format("failed to mount local volume: mount {}:{}", mount.device, target);
  if (mount.flags != 0) text += fmt::format(", flags: {:#x}", mount.flags);
  if (!mount.data.empty()) text += ", data: " + mount.data;
  text += ": " + (cause.sys_errno != 0 ? go_text(cause.sys_errno) : cause.message);
  // What the kernel logged about this mount says more than the number.
  auto log = cause.message.find(": " + std::string(mount.type) + ": ");
  if (cause.sys_errno != 0 && log != std::string::npos)
    text += fmt::format(" ({})", cause.message.substr(log + 2));
  return Error{cause.code, cause.sys_errno, std::move(text)};
}

Result<std::string> resolve_address(const std::string& name) {
  unsigned char binary[sizeof(in6_addr)];
  if (::inet_pton(AF_INET, name.c_str(), binary) == 1 ||
      ::inet_pton(AF_INET6, name.c_str(), binary) == 1)
    return name;
  addrinfo* found = nullptr;
  if (int result = ::getaddrinfo(name.c_str(), nullptr, nullptr, &found); result != 0)
    return fail(Code::kUnavailable,
                "error resolving passed in network volume address: lookup {}: {}", name,
                ::gai_strerror(result));
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> guard(found, ::freeaddrinfo);
  char text[INET6_ADDRSTRLEN];
  if (::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) != 0)
    return fail(Code::kUnavailable, "error resolving passed in network volume address \"{}\"",
                name);
  return std::string(text);
}

// The kernel knows addresses, not names.
Status resolve_addresses(LocalMount& mount) {
  for (auto& option : mount.options) {
    if (option.key != "addr" || !option.value) continue;
    ASSIGN_OR_RETURN(option.value, resolve_address(*option.value));
  }
  return {};
}

Result<DetachedMount> bind_mount(const LocalMount& mount) {
  ASSIGN_OR_RETURN(auto source, open_file(mount.device, O_PATH | O_DIRECTORY));
  ASSIGN_OR_RETURN(auto detached, DetachedMount::clone(source, "", mount.recursive));
  RETURN_IF_ERROR(detached.set(mount.attributes));
  return detached;
}

// A regular file as the device of a file system goes through a loop device.
Result<std::optional<LoopDevice>> loop_for(const LocalMount& mount) {
  struct stat status = {};
  bool file = ::stat(mount.device.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  if (!file) {
    if (mount.loop) return fail(Code::kInvalidArgument, "\"{}\" is not a file", mount.device);
    return std::nullopt;
  }
  bool read_only = mount.attributes.read_only.value_or(false);
  ASSIGN_OR_RETURN(auto backing, open_file(mount.device, read_only ? O_RDONLY : O_RDWR));
  return attach_loop_device(backing, read_only);
}

Result<DetachedMount> file_system_mount(LocalMount mount) {
  RETURN_IF_ERROR(resolve_addresses(mount));
  ASSIGN_OR_RETURN(auto loop, loop_for(mount));
  const std::string& source = loop ? loop->path : mount.device;
  ASSIGN_OR_RETURN(auto detached,
                   mount_filesystem(mount.type, source, mount.options, mount.attributes));
  MountAttributes propagation;
  propagation.propagation = mount.attributes.propagation;
  RETURN_IF_ERROR(detached.set(propagation));
  return detached;
}

std::optional<std::string> helper_for(const std::string& type) {
  auto dot = type.find('.');
  for (const char* directory : {"/sbin", "/usr/sbin"}) {
    std::string path = fmt::format("{}/mount.{}", directory, type.substr(0, dot));
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return std::nullopt;
}

// mount(8) finds the helper and minds its options. It is killed at the deadline; a mount that hangs
// in the kernel keeps only that child.
Status mount_by_helper(const LocalMount& mount, const std::map<std::string, std::string>& given,
                       const std::string& target) {
  ProcessOptions options;
  options.argv = {"mount", "-t", mount.type};
  if (auto words = given.find("o"); words != given.end() && !words->second.empty()) {
    options.argv.emplace_back("-o");
    options.argv.push_back(words->second);
  }
  options.argv.insert(options.argv.end(), {"--", mount.device, target});
  ASSIGN_OR_RETURN(auto output, run_command(std::move(options), {}, kHelperDeadline));
  if (output.status.success()) return {};
  while (output.err.ends_with('\n')) output.err.pop_back();
  return fail(Code::kInternal, "{}", output.err);
}

Status mount_volume(BorrowedFd directory, const Volume& volume, const std::string& target) {
  ASSIGN_OR_RETURN(auto mount, parse_local_mount(volume.options));
  auto named = [&](const Error& error) {
    return tl::unexpected(mount_error(mount, target, error));
  };
  auto detached = mount.bind ? bind_mount(mount) : file_system_mount(mount);
  bool unknown = !detached && !mount.bind && detached.error().sys_errno == ENODEV;
  if (unknown && helper_for(mount.type)) {
    auto status = mount_by_helper(mount, volume.options, target);
    if (!status) return named(status.error());
    return {};
  }
  if (!detached) return named(detached.error());
  auto attached = std::move(*detached).attach(directory, layout::kData, target);
  if (!attached) return named(attached.error());
  attached->commit();
  return {};
}

// That what is mounted is what the options say: a volume must never show something else's files.
Status check_identity(BorrowedFd root, const Volume& volume, const std::string& target) {
  ASSIGN_OR_RETURN(auto mount, parse_local_mount(volume.options));
  struct stat mounted = {}, wanted = {};
  if (::fstat(root.get(), &mounted) != 0) return fail_errno("stat \"{}\"", target);
  bool same = true;
  if (mount.bind) {
    same = ::stat(mount.device.c_str(), &wanted) != 0 ||
           (wanted.st_dev == mounted.st_dev && wanted.st_ino == mounted.st_ino);
  } else if (::stat(mount.device.c_str(), &wanted) == 0 && S_ISBLK(wanted.st_mode)) {
    ASSIGN_OR_RETURN(auto entry, mount_of(root));
    // btrfs and others give st_dev a number of their own; the mount table names the device then.
    same = wanted.st_rdev == mounted.st_dev || entry.source == mount.device ||
           entry.device == fmt::format("{}:{}", major(wanted.st_rdev), minor(wanted.st_rdev));
  } else {
    ASSIGN_OR_RETURN(auto entry, mount_of(root));
    same = entry.type == mount.type || entry.type.starts_with("fuse");
  }
  if (same) return {};
  return fail(Code::kFailedPrecondition,
              "something else than volume \"{}\" is mounted on \"{}\": unmount it first",
              volume.name, target);
}

Status unmount_data(BorrowedFd directory, const std::string& target) {
  ASSIGN_OR_RETURN(bool mounted, is_mount_point(directory, layout::kData));
  if (!mounted) return {};
  auto status = unmount(target, false);
  // Busy by somebody's open file: out of the tree now, gone when they close it.
  if (!status && status.error().code == Code::kConflict) return unmount(target, true);
  return status;
}

// Names of the options in which the two differ.
std::vector<std::string> changed_options(const std::map<std::string, std::string>& from,
                                         const std::map<std::string, std::string>& to) {
  std::vector<std::string> changed;
  for (const auto& [key, value] : to) {
    auto before = from.find(key);
    if (before == from.end() || before->second != value) changed.push_back(key);
  }
  for (const auto& [key, value] : from) {
    if (!to.contains(key)) changed.push_back(key);
  }
  return changed;
}

}  // namespace

Status LocalDriver::check(const Volume& volume) {
  RETURN_IF_ERROR(check_local_options(volume.options));
  if (volume.options.contains("size"))
    return fail(Code::kInvalidArgument, "quota size requested but no quota support");
  return parse_local_mount(volume.options).map([](const LocalMount&) {});
}

Status LocalDriver::create(const Volume&, BorrowedFd directory) {
  if (::mkdirat(directory.get(), layout::kData, 0755) != 0) return fail_errno("mkdir \"_data\"");
  // The umask is not the client's business.
  if (::fchmodat(directory.get(), layout::kData, 0755, 0) != 0)
    return fail_errno("chmod \"_data\"");
  return {};
}

Status LocalDriver::remove(const Volume& volume, BorrowedFd directory) {
  if (is_directory(volume)) return {};
  return unmount_data(directory, directories_.mountpoint(volume.name));
}

Result<UniqueFd> LocalDriver::mount(const Volume& volume, BorrowedFd directory, const HolderId&) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
  if (is_directory(volume)) return open_file_at(directory, layout::kData, kFlags);
  std::string target = directories_.mountpoint(volume.name);
  ASSIGN_OR_RETURN(bool mounted, is_mount_point(directory, layout::kData));
  if (!mounted) RETURN_IF_ERROR(mount_volume(directory, volume, target));
  ASSIGN_OR_RETURN(auto root, open_file_at(directory, layout::kData, kFlags));
  // Somebody may have unmounted it by hand since: never hand out the bare directory.
  ASSIGN_OR_RETURN(bool is_root, is_mount_point(root, ""));
  if (!is_root)
    return fail(Code::kUnavailable, "volume \"{}\" was unmounted while it was taken into use",
                volume.name);
  if (mounted) RETURN_IF_ERROR(check_identity(root, volume, target));
  return root;
}

Status LocalDriver::unmount(const Volume& volume, BorrowedFd directory, const HolderId&,
                            bool last) {
  if (!last || is_directory(volume)) return {};
  return unmount_data(directory, directories_.mountpoint(volume.name));
}

Status LocalDriver::update(const Volume& from, const Volume& to, BorrowedFd directory,
                           bool mounted) {
  for (const auto& option : changed_options(from.options, to.options)) {
    if (option != "o")
      return fail(Code::kInvalidArgument,
                  "option \"{}\" of a volume cannot be changed: make another volume", option);
    if (mounted)
      return fail(Code::kConflict, "option \"{}\" cannot be changed while the volume is mounted",
                  option);
  }
  RETURN_IF_ERROR(check(to));
  // What a daemon that was killed left mounted still has the former options.
  if (!mounted && !is_directory(to))
    return unmount_data(directory, directories_.mountpoint(to.name));
  return {};
}

json::Object LocalDriver::status(const Volume& volume, BorrowedFd directory) {
  if (is_directory(volume)) return {};
  auto mounted = mount_on(directory, layout::kData);
  if (!mounted || !*mounted) return {{"Mounted", false}};
  return {{"Mounted", true},
          {"FileSystem", (*mounted)->type},
          {"Source", (*mounted)->source},
          {"MountOptions", (*mounted)->options + "," + (*mounted)->super_options}};
}

bool LocalDriver::is_directory(const Volume& volume) const { return !has_mount(volume.options); }

std::string LocalDriver::mountpoint(const Volume& volume, BorrowedFd) const {
  return directories_.mountpoint(volume.name);
}

Result<VolumeSight> LocalDriver::look(const Volume& volume) {
  VolumeSight sight;
  sight.mountpoint = directories_.mountpoint(volume.name);
  return sight;
}

}  // namespace holdfast
