#include "storage/driver/local/foreign_mount.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/process.h"
#include "os/inode_flags.h"
#include "os/mount_in_child.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"
#include "storage/driver/local/host_paths.h"
#include "storage/driver/local/option_rules.h"
#include "storage/driver/local/programs.h"
#include "storage/volume/layout.h"

namespace holdfast {

// Where a mount goes, and whose it is.
struct ForeignMounts::Place {
  const Volume& volume;
  BorrowedFd directory;
  const std::string& target;  // the host path of directory/_data
  const HostPathJudge& judge;
};

namespace {

double seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

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

Error in_time(const Error& error, const std::string& what, std::chrono::milliseconds deadline) {
  if (error.code != Code::kDeadlineExceeded) return error;
  return Error{error.code, 0, fmt::format("{} within {:g} seconds", what, seconds(deadline))};
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

bool has_option(const LocalMount& mount, std::string_view key) {
  return std::any_of(mount.options.begin(), mount.options.end(),
                     [&](const MountOption& option) { return option.key == key; });
}

// The program that mounts the type: its own, or mount.fuse where that may start it.
std::optional<std::string> helper_for(const std::string& type) {
  if (auto own = system_program("mount." + type)) return own;
  if (!type.starts_with("fuse.")) return std::nullopt;
  std::string name = type.substr(5);
  if (auto own = system_program("mount." + name)) return own;
  return is_fuse_program(name) ? system_program("mount.fuse") : std::nullopt;
}

// File systems whose program works out what the kernel must be told: addresses, keys, versions.
bool wants_address(const std::string& type) {
  return type == "nfs" || type == "nfs4" || type == "cifs" || type == "smb3" || type == "ceph";
}

// An option of these that their program reads a file for, and the kernel does not know.
std::optional<std::string_view> programs_option(const LocalMount& mount) {
  for (std::string_view key : {"credentials", "cred", "secretfile", "conf"}) {
    if (wants_address(mount.type) && has_option(mount, key)) return key;
  }
  return std::nullopt;
}

bool is_helpers_own(const LocalMount& mount) {
  const auto* rules = find_rules(mount.type);
  return mount.type.starts_with("fuse.") || (rules && rules->by_helper);
}

// A path of the host as the device: only then is there something to look at before the mount.
bool is_host_path(const std::string& device) { return device.starts_with('/'); }

// Whether it is the files of that path, or what is in them, that the mount shows.
bool shows_host_path(const LocalMount& mount) {
  const auto* rules = mount.bind ? nullptr : find_rules(mount.type);
  return is_host_path(mount.device) && !(rules && rules->elsewhere);
}

}  // namespace

Result<DetachedMount> ForeignMounts::bind(const LocalMount& mount, const HostPathJudge& judge) {
  ASSIGN_OR_RETURN(auto source,
                   open_in_child(mount.device, O_PATH | O_DIRECTORY, deadlines_.mount));
  RETURN_IF_ERROR(judge_opened(judge, source.fd, mount.device));
  ASSIGN_OR_RETURN(auto detached, DetachedMount::clone(source.fd, "", mount.recursive));
  RETURN_IF_ERROR(detached.set(mount.attributes));
  return detached;
}

Result<LoopDevice> ForeignMounts::loop_over(const LocalMount& mount, const HostPathJudge& judge) {
  LoopOptions options;
  options.read_only = mount.attributes.read_only.value_or(false);
  ASSIGN_OR_RETURN(auto file, open_in_child(mount.device, options.read_only ? O_RDONLY : O_RDWR,
                                            deadlines_.mount));
  RETURN_IF_ERROR(judge_opened(judge, file.fd, mount.device));
  auto turn = loops_.enter(fmt::format("{}:{}", file.status.st_dev, file.status.st_ino));
  return attach_loop_device(file, options, deadlines_.mount);
}

// A regular file as the device of a file system goes through a loop device.
Result<ForeignMounts::Device> ForeignMounts::device_for(const LocalMount& mount,
                                                        const HostPathJudge& judge) {
  bool path = shows_host_path(mount);
  if (!path && mount.loop)
    return fail(Code::kInvalidArgument, "\"{}\" is not a file", mount.device);
  if (!path) return Device{mount.device, std::nullopt};
  auto found = open_in_child(mount.device, O_PATH, deadlines_.mount);
  if (!found && (judge || found.error().code == Code::kDeadlineExceeded))
    return tl::unexpected(std::move(found).error());
  if (found && S_ISREG(found->status.st_mode)) {
    ASSIGN_OR_RETURN(auto loop, loop_over(mount, judge));
    std::string name = loop.path;
    return Device{std::move(name), std::move(loop)};
  }
  if (mount.loop) return fail(Code::kInvalidArgument, "\"{}\" is not a file", mount.device);
  if (!judge) return Device{mount.device, std::nullopt};
  RETURN_IF_ERROR(judge_opened(judge, found->fd, mount.device));
  // The kernel takes a name: the one it has, which no symlink leads elsewhere meanwhile.
  ASSIGN_OR_RETURN(auto name, path_of(found->fd));
  return Device{std::move(name), std::nullopt};
}

// By descriptor, so that any number of layers with names of any length will do.
Result<DetachedMount> ForeignMounts::overlay(const LocalMount& mount, const HostPathJudge& judge) {
  std::vector<UniqueFd> opened;
  auto open = [&](const std::string& path) -> Result<BorrowedFd> {
    ASSIGN_OR_RETURN(auto layer, open_in_child(path, O_PATH | O_DIRECTORY, deadlines_.mount));
    RETURN_IF_ERROR(judge_opened(judge, layer.fd, path));
    opened.push_back(std::move(layer.fd));
    return opened.back().borrow();
  };
  OverlayParts parts;
  for (const auto& option : mount.options) {
    if (option.key == "lowerdir") {
      for (const auto& path : split_paths(option.value.value_or(""))) {
        ASSIGN_OR_RETURN(auto layer, open(path));
        parts.lower.push_back(layer);
      }
    } else if (option.key == "upperdir") {
      ASSIGN_OR_RETURN(parts.upper, open(option.value.value_or("")));
    } else if (option.key == "workdir") {
      ASSIGN_OR_RETURN(parts.work, open(option.value.value_or("")));
    } else {
      parts.options.push_back(option);
    }
  }
  std::vector<MountOption> options;
  for (auto layer : parts.lower) options.push_back({"lowerdir+", std::nullopt, layer});
  if (parts.upper.valid()) {
    options.push_back({"upperdir", std::nullopt, parts.upper});
    options.push_back({"workdir", std::nullopt, parts.work});
  }
  options.insert(options.end(), parts.options.begin(), parts.options.end());
  auto made =
      mount_filesystem_in_child("overlay", "overlay", options, mount.attributes, deadlines_.mount);
  // Before 6.5 layers come in one string.
  bool old_kernel = !made && made.error().sys_errno == EINVAL &&
                    made.error().message.find("option \"lowerdir+") != std::string::npos;
  if (!old_kernel) return made;
  ASSIGN_OR_RETURN(auto in_one, mount_overlay(parts, OverlayMethod::kOneString));
  RETURN_IF_ERROR(in_one.set(mount.attributes));
  return in_one;
}

Result<DetachedMount> ForeignMounts::file_system(LocalMount mount, const HostPathJudge& judge) {
  RETURN_IF_ERROR(resolve_addresses(mount));
  ASSIGN_OR_RETURN(auto device, device_for(mount, judge));
  auto made = mount.type == "overlay"
                  ? overlay(mount, judge)
                  : mount_filesystem_in_child(mount.type, device.path, mount.options,
                                              mount.attributes, deadlines_.mount);
  ASSIGN_OR_RETURN(auto detached, std::move(made));
  MountAttributes propagation;
  propagation.propagation = mount.attributes.propagation;
  RETURN_IF_ERROR(detached.set(propagation));
  return detached;
}

Result<UniqueFd> ForeignMounts::mount_by_kernel(const LocalMount& mount, const Place& place) {
  ASSIGN_OR_RETURN(auto detached,
                   mount.bind ? bind(mount, place.judge) : file_system(mount, place.judge));
  ASSIGN_OR_RETURN(auto attached,
                   std::move(detached).attach(place.directory, layout::kData, place.target));
  return attached.commit();
}

// The program is killed at the deadline, with what it has started and not yet left behind.
Result<UniqueFd> ForeignMounts::mount_by_helper(const LocalMount& mount, const Place& place,
                                                const std::string& program) {
  ASSIGN_OR_RETURN(auto words, helper_options(place.volume.options));
  // A program opens files itself, unless it is one that wants a block device.
  Device device{mount.device, std::nullopt};
  if (mount.loop) {
    ASSIGN_OR_RETURN(device, device_for(mount, place.judge));
  }
  ProcessOptions options;
  options.argv = {program, device.path, place.target};
  if (program.ends_with("/mount.fuse")) options.argv.insert(options.argv.end(), {"-t", mount.type});
  if (!words.empty()) options.argv.insert(options.argv.end(), {"-o", words});
  options.new_session = true;
  options.leaves_processes = true;
  auto run = [&]() -> Result<UniqueFd> {
    ASSIGN_OR_RETURN(auto output, run_command(options, {}, deadlines_.mount));
    while (output.err.ends_with('\n')) output.err.pop_back();
    if (!output.status.success())
      return fail(
          Code::kInternal, "{}: {}", program,
          output.err.empty() ? fmt::format("exit code {}", output.status.code) : output.err);
    ASSIGN_OR_RETURN(bool mounted, is_mounted_on(place.directory, layout::kData));
    if (!mounted)
      return fail(Code::kInternal, "{} ended without a mount{}{}", program,
                  output.err.empty() ? "" : ": ", output.err);
    ASSIGN_OR_RETURN(auto root, open_answering(place));
    RETURN_IF_ERROR(set_mount_attributes(root.fd, "", mount.attributes));
    return std::move(root.fd);
  };
  auto root = run();
  if (!root) static_cast<void>(unmount_in_child(place.target, true, deadlines_.unmount));
  return root;
}

Result<UniqueFd> ForeignMounts::mount_anew(const LocalMount& mount, const Place& place) {
  // Nobody writes beneath a mount point, neither now nor when it is unmounted again.
  RETURN_IF_ERROR(set_immutable(place.directory, layout::kData, true));
  if (mount.bind) return mount_by_kernel(mount, place);
  auto helper = helper_for(mount.type);
  if (is_helpers_own(mount)) {
    if (helper) return mount_by_helper(mount, place, *helper);
    return fail(Code::kInvalidArgument, "no program mounts file system type \"{}\" here",
                mount.type);
  }
  if (auto key = programs_option(mount)) {
    if (helper) return mount_by_helper(mount, place, *helper);
    return fail(Code::kInvalidArgument,
                "mount option \"{}\" needs the program mount.{}, which is not installed", *key,
                mount.type);
  }
  if (wants_address(mount.type) && !has_option(mount, "addr") && !has_option(mount, "ip")) {
    if (helper) return mount_by_helper(mount, place, *helper);
    return fail(Code::kInvalidArgument,
                "file system type \"{}\" needs the mount option addr=<server> where no mount.{} "
                "is installed",
                mount.type, mount.type);
  }
  auto root = mount_by_kernel(mount, place);
  if (root || root.error().sys_errno != ENODEV || !helper) return root;
  // A program would open once more, by its name, what was judged.
  if (place.judge && shows_host_path(mount)) return root;
  return mount_by_helper(mount, place, *helper);
}

Result<OpenedPath> ForeignMounts::open_answering(const Place& place) {
  auto root = open_responding_in_child(place.directory, layout::kData, deadlines_.answer);
  if (root || root.error().code != Code::kDeadlineExceeded) return root;
  auto entry = mount_on(place.directory, layout::kData);
  std::string what =
      entry && *entry ? fmt::format("{} \"{}\"", (*entry)->type, (*entry)->source) : "what";
  return tl::unexpected(
      in_time(root.error(),
              fmt::format("{} mounted for volume \"{}\" did not answer", what, place.volume.name),
              deadlines_.answer));
}

// That what is mounted is what the options say: a volume must never show something else's files.
Status ForeignMounts::check_identity(const LocalMount& mount, const OpenedPath& root,
                                     const Place& place) {
  auto wanted = is_host_path(mount.device) ? open_in_child(mount.device, O_PATH, deadlines_.answer)
                                           : Result<OpenedPath>(fail(Code::kNotFound, "no path"));
  if (wanted) RETURN_IF_ERROR(judge_opened(place.judge, wanted->fd, mount.device));
  // Whose source is gone, nobody can say any more whether it may be had.
  if (!wanted && place.judge && shows_host_path(mount))
    return tl::unexpected(std::move(wanted).error());
  ASSIGN_OR_RETURN(auto entry, mount_of(root.fd));
  bool same = true;
  if (mount.bind) {
    same = !wanted || (wanted->status.st_dev == root.status.st_dev &&
                       wanted->status.st_ino == root.status.st_ino);
  } else if (wanted && S_ISBLK(wanted->status.st_mode)) {
    // btrfs and others give st_dev a number of their own; the mount table names the device then.
    auto device = wanted->status.st_rdev;
    same = device == root.status.st_dev || entry.source == mount.device ||
           entry.device == fmt::format("{}:{}", major(device), minor(device));
  } else if (wanted && S_ISREG(wanted->status.st_mode) && entry.source.starts_with("/dev/loop")) {
    same = is_loop_over(entry.source, wanted->status);
  } else {
    // A mount of "nfs" may show as "nfs4".
    const auto* rules = find_rules(mount.type);
    same = entry.type == mount.type || entry.type.starts_with("fuse") ||
           (rules && rules == find_rules(entry.type));
  }
  if (same) return {};
  return fail(Code::kFailedPrecondition,
              "something else than volume \"{}\" is mounted on \"{}\": unmount it first",
              place.volume.name, place.target);
}

Status ForeignMounts::check(const Volume& volume, const HostPathJudge& judge) {
  ASSIGN_OR_RETURN(auto mount, parse_local_mount(volume.options));
  return judge_host_paths(mount, judge, deadlines_.mount);
}

Result<UniqueFd> ForeignMounts::mount(const Volume& volume, BorrowedFd directory,
                                      const std::string& target, const HostPathJudge& judge) {
  Place place{volume, directory, target, judge};
  ASSIGN_OR_RETURN(auto mount, parse_local_mount(volume.options));
  RETURN_IF_ERROR(judge_host_paths(mount, judge, deadlines_.mount));
  ASSIGN_OR_RETURN(bool mounted, is_mounted_on(directory, layout::kData));
  if (mounted) {
    auto root = open_answering(place);
    if (root) {
      RETURN_IF_ERROR(check_identity(mount, *root, place));
      return std::move(root->fd);
    }
    // Nobody is left who could answer: whoever has it open has lost it already.
    bool dead = root.error().sys_errno == ENOTCONN || root.error().sys_errno == ESTALE;
    if (!dead) return tl::unexpected(std::move(root).error());
    RETURN_IF_ERROR(unmount_in_child(target, true, deadlines_.unmount));
  }
  auto root = mount_anew(mount, place);
  if (root) return root;
  auto what = fmt::format("volume \"{}\": \"{}\" was not mounted", volume.name, mount.device);
  return tl::unexpected(mount_error(mount, target, in_time(root.error(), what, deadlines_.mount)));
}

std::optional<std::uint64_t> ForeignMounts::used(const Volume& volume, BorrowedFd directory) {
  auto mount = parse_local_mount(volume.options);
  if (!mount || mount->bind) return std::nullopt;
  auto entry = mount_on(directory, layout::kData);
  if (!entry || !*entry) return std::nullopt;
  bool counts = (*entry)->type == "tmpfs" || (*entry)->source.starts_with("/dev/");
  if (!counts || (*entry)->type.starts_with("fuse")) return std::nullopt;
  auto root = open_file_at(directory, layout::kData, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  struct statfs status = {};
  if (!root || ::fstatfs(root->get(), &status) != 0) return std::nullopt;
  return (status.f_blocks - status.f_bfree) * static_cast<std::uint64_t>(status.f_bsize);
}

Status ForeignMounts::unmount(const Volume& volume, BorrowedFd directory,
                              const std::string& target) {
  auto status = unmount_from_tree(directory, layout::kData, target, deadlines_.unmount);
  if (status) return {};
  return tl::unexpected(in_time(status.error(),
                                fmt::format("volume \"{}\" was not unmounted", volume.name),
                                deadlines_.unmount));
}

}  // namespace holdfast
