#include "os/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include <cerrno>
#include <thread>

#include "base/file.h"
#include "os/mount_calls.h"

namespace holdfast {
namespace {

// A number that names an open file to the kernel's path walk.
std::string name_of(BorrowedFd fd) { return fmt::format("/proc/self/fd/{}", fd.get()); }

// The lines the kernel left in a context's log, as "; line; line". Each starts with its level and a
// space.
std::string kernel_log(BorrowedFd context) {
  std::string all;
  char buffer[1024];
  ssize_t count;
  while ((count = ::read(context.get(), buffer, sizeof buffer)) > 2) {
    std::string_view line(buffer + 2, static_cast<std::size_t>(count) - 2);
    while (line.ends_with('\n')) line.remove_suffix(1);
    all += all.empty() ? ": " : "; ";
    all += line;
  }
  return all;
}

tl::unexpected<Error> context_failure(BorrowedFd context, int number, const std::string& what) {
  auto error = system_error(number, what);
  error.message += kernel_log(context);
  return tl::unexpected(std::move(error));
}

Result<UniqueFd> open_context(const std::string& type) {
  UniqueFd context(::fsopen(type.c_str(), FSOPEN_CLOEXEC));
  if (!context) return fail_errno("mount file system of type \"{}\"", type);
  return context;
}

Status configure_all(BorrowedFd context, const std::string& type,
                     const std::vector<MountOption>& options) {
  for (const auto& option : options) {
    if (configure(context, option) != 0) {
      return context_failure(context, errno, option_failure(type, option));
    }
  }
  return {};
}

Result<DetachedMount> create_mount(BorrowedFd context, const std::string& type,
                                   const std::string& source, const MountAttributes& attributes) {
  auto what = [&] { return fmt::format("mount {} \"{}\"", type, source); };
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return context_failure(context, errno, what());
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, to_fsmount(attributes)));
  if (!mount) return context_failure(context, errno, what());
  return DetachedMount(std::move(mount));
}

Result<DetachedMount> overlay_one_by_one(const OverlayParts& parts, bool by_descriptor) {
  ASSIGN_OR_RETURN(auto context, open_context("overlay"));
  std::vector<MountOption> options = {{"source", "overlay", BorrowedFd(-1)}};
  auto add = [&](const char* key, BorrowedFd fd) {
    if (by_descriptor)
      options.push_back({key, std::nullopt, fd});
    else
      options.push_back({key, name_of(fd), BorrowedFd(-1)});
  };
  for (auto lower : parts.lower) add("lowerdir+", lower);
  if (parts.upper.valid()) {
    add("upperdir", parts.upper);
    add("workdir", parts.work);
  }
  options.insert(options.end(), parts.options.begin(), parts.options.end());
  RETURN_IF_ERROR(configure_all(context, "overlay", options));
  return create_mount(context, "overlay", "overlay", {});
}

// Runs in a thread with a working directory of its own, so that layers are spelled "12:13:14",
// relative to /proc/self/fd. mount(2) knows no detached mounts: it is made on top of the work
// directory, which overlayfs then keeps to itself anyway, copied from there and taken off again.
Result<DetachedMount> mount_from_descriptor_directory(const std::string& options,
                                                      BorrowedFd place) {
  if (::unshare(CLONE_FS) != 0) return fail_errno("unshare working directory");
  if (::chdir("/proc/self/fd") != 0) return fail_errno("chdir \"/proc/self/fd\"");
  std::string target = fmt::format("{}", place.get());
  if (::mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0)
    return fail_errno("mount overlay with \"{}\"", options);
  // `place` still names the directory beneath; only a walk from its parent reaches the mount.
  std::string real(4096, '\0');
  ssize_t length = ::readlink(target.c_str(), real.data(), real.size());
  if (length < 0) return fail_errno("read name of overlay work directory");
  real.resize(static_cast<std::size_t>(length));
  auto copy = DetachedMount::clone(BorrowedFd(AT_FDCWD), real, false);
  if (auto status = unmount(real, true); !status) return tl::unexpected(status.error());
  return copy;
}

Result<DetachedMount> overlay_one_string(const OverlayParts& parts) {
  std::string options = "lowerdir=";
  for (std::size_t i = 0; i < parts.lower.size(); ++i)
    options += fmt::format("{}{}", i == 0 ? "" : ":", parts.lower[i].get());
  BorrowedFd place = parts.lower.back();
  if (parts.upper.valid()) {
    options += fmt::format(",upperdir={},workdir={}", parts.upper.get(), parts.work.get());
    place = parts.work;
  }
  for (const auto& option : parts.options) {
    options += "," + option.key;
    if (option.value) options += "=" + *option.value;
  }
  if (options.size() > 4095)
    return fail(Code::kInvalidArgument, "mount overlay: too many layers ({}) for this kernel",
                parts.lower.size());
  Result<DetachedMount> result = fail(Code::kInternal, "mount overlay");
  std::thread([&] { result = mount_from_descriptor_directory(options, place); }).join();
  return result;
}

bool is_unsupported(const Error& error) {
  return error.sys_errno == EINVAL || error.sys_errno == ENOSYS || error.sys_errno == EBADF ||
         error.sys_errno == EOPNOTSUPP;
}

}  // namespace

bool MountAttributes::empty() const {
  return !read_only && !no_suid && !no_dev && !no_exec && !no_symlink_follow && !access_time &&
         !propagation && !id_map_namespace.valid();
}

MountGuard& MountGuard::operator=(MountGuard&& other) noexcept {
  if (this != &other) {
    unmount();
    root_ = std::move(other.root_);
  }
  return *this;
}

void MountGuard::unmount() {
  if (!root_) return;
  // Our own descriptor keeps the mount busy, hence lazily; through /proc, since umount2(2) takes no
  // descriptor.
  ::umount2(name_of(root_).c_str(), MNT_DETACH);
  root_.reset();
}

Result<DetachedMount> DetachedMount::clone(BorrowedFd directory, const std::string& path,
                                           bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  if (recursive) flags |= AT_RECURSIVE;
  UniqueFd tree(::open_tree(directory.get(), path.c_str(), flags));
  if (!tree) return fail_errno("bind \"{}\"", path.empty() ? name_of(directory) : path);
  return DetachedMount(std::move(tree));
}

Status DetachedMount::set(const MountAttributes& attributes) {
  return set_mount_attributes(root_, "", attributes);
}

Result<MountGuard> DetachedMount::attach(BorrowedFd directory, const std::string& path,
                                         const std::string& where) && {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH;
  if (path.empty()) flags |= MOVE_MOUNT_T_EMPTY_PATH;
  if (::move_mount(root_.get(), "", directory.get(), path.c_str(), flags) != 0)
    return fail_errno("mount on \"{}\"", where);
  return MountGuard(std::move(root_));
}

Result<DetachedMount> mount_filesystem(const std::string& type, const std::string& source,
                                       const std::vector<MountOption>& options,
                                       const MountAttributes& attributes) {
  ASSIGN_OR_RETURN(auto context, open_context(type));
  RETURN_IF_ERROR(configure_all(context, type, all_options(source, options, attributes)));
  return create_mount(context, type, source, attributes);
}

Result<DetachedMount> mount_overlay(const OverlayParts& parts, OverlayMethod method) {
  if (parts.lower.empty()) return fail(Code::kInvalidArgument, "mount overlay: no layers");
  if (method == OverlayMethod::kDescriptors) return overlay_one_by_one(parts, true);
  if (method == OverlayMethod::kNames) return overlay_one_by_one(parts, false);
  if (method == OverlayMethod::kOneString) return overlay_one_string(parts);
  auto first = overlay_one_by_one(parts, true);
  if (first || !is_unsupported(first.error())) return first;
  auto second = overlay_one_by_one(parts, false);
  if (second || !is_unsupported(second.error())) return second;
  auto third = overlay_one_string(parts);
  // With every way refused it is the parts that are wrong, and the newest interface tells best.
  if (!third && is_unsupported(third.error())) return first;
  return third;
}

Status unmount(const std::string& path, bool lazy) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) != 0)
    return fail_errno("unmount \"{}\"", path);
  return {};
}

Status set_mount_attributes(BorrowedFd directory, const std::string& path,
                            const MountAttributes& attributes) {
  if (attributes.empty()) return {};
  auto attr = to_kernel(attributes);
  unsigned flags = AT_SYMLINK_NOFOLLOW;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  if (attributes.recursive) flags |= AT_RECURSIVE;
  if (::mount_setattr(directory.get(), path.c_str(), flags, &attr, sizeof attr) == 0) return {};
  int number = errno;
  if (attributes.id_map_namespace.valid() && number == EINVAL)
    return fail(Code::kNotImplemented, "this file system cannot map user ids (idmap)");
  return fail_errno_text(number, "change attributes of mount");
}

}  // namespace holdfast
