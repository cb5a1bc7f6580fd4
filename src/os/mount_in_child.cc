#include "os/mount_in_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "os/child_call.h"
#include "os/mount_calls.h"
#include "os/mountinfo.h"

namespace holdfast {
namespace {

// Steps of a mount; from kFirstOption on, the number of an option.
enum Step { kContext, kCreate, kMount, kFirstOption };

// In the child: the lines the kernel left in a context's log, as ": line; line". Each starts with
// its level and a space.
void append_kernel_log(int context, ChildReply& reply) {
  char line[512];
  ssize_t count;
  for (bool first = true; (count = ::read(context, line, sizeof line)) > 2; first = false) {
    while (count > 2 && line[count - 1] == '\n') --count;
    reply.append(first ? ": " : "; ");
    reply.append(std::string_view(line + 2, static_cast<std::size_t>(count) - 2));
  }
}

int configure_with_fallback(int context, const MountOption& option) {
  if (configure(BorrowedFd(context), option) == 0) return 0;
  if (!option.file.valid() || errno != EINVAL) return errno;
  char name[48];
  *fmt::format_to_n(name, sizeof name - 1, "/proc/self/fd/{}", option.file.get()).out = '\0';
  return ::fsconfig(context, FSCONFIG_SET_STRING, option.key.c_str(), name, 0) == 0 ? 0 : errno;
}

void make_mount(const char* type, const std::vector<MountOption>& options, unsigned attributes,
                ChildReply& reply) {
  int context = ::fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return reply.fail(kContext, errno);
  auto failed = [&](int step, int number) {
    reply.fail(step, number);
    append_kernel_log(context, reply);
  };
  int number = kFirstOption;
  for (const auto& option : options) {
    if (int failure = configure_with_fallback(context, option); failure != 0)
      return failed(number, failure);
    ++number;
  }
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return failed(kCreate, errno);
  int mount = ::fsmount(context, FSMOUNT_CLOEXEC, attributes);
  if (mount < 0) return failed(kMount, errno);
  reply.give(mount);
}

// The words of what failed are those of mount_filesystem().
Error mount_failure(const ChildAnswer& answer, const std::string& type, const std::string& source,
                    const std::vector<MountOption>& options) {
  std::string what = fmt::format("mount {} \"{}\"", type, source);
  if (answer.step == kContext) what = fmt::format("mount file system of type \"{}\"", type);
  if (answer.step >= kFirstOption)
    what = option_failure(type, options[static_cast<std::size_t>(answer.step - kFirstOption)]);
  auto error = system_error(answer.number, what);
  error.message += answer.text;
  return error;
}

// In the child.
void give_with_status(int fd, ChildReply& reply) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return reply.fail(0, errno);
  reply.append(std::string_view(reinterpret_cast<const char*>(&status), sizeof status));
  reply.give(fd);
}

Result<OpenedPath> opened(ChildAnswer answer, const std::string& path) {
  if (answer.number != 0) return fail_errno_text(answer.number, fmt::format("open \"{}\"", path));
  OpenedPath result;
  if (answer.files.size() != 1 || answer.text.size() != sizeof result.status)
    return fail(Code::kInternal, "\"{}\" did not come back open", path);
  std::memcpy(&result.status, answer.text.data(), sizeof result.status);
  result.fd = std::move(answer.files[0]);
  result.path = path;
  return result;
}

// In the child: asks the file system itself, not what the kernel remembers of it. That the root
// can't be listed (permissions of a server) is an answer, too.
void ask_root(int directory, const char* name, ChildReply& reply) {
  int root = ::openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0) return reply.fail(0, errno);
  struct statx status = {};
  if (::statx(root, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &status) != 0)
    return reply.fail(0, errno);
  int listed = ::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char entries[4096];
  bool broken = listed < 0 || ::syscall(SYS_getdents64, listed, entries, sizeof entries) < 0;
  if (broken && errno != EACCES && errno != EPERM) return reply.fail(0, errno);
  give_with_status(root, reply);
}

}  // namespace

Result<DetachedMount> mount_filesystem_in_child(const std::string& type, const std::string& source,
                                                const std::vector<MountOption>& options,
                                                const MountAttributes& attributes,
                                                std::chrono::milliseconds deadline) {
  auto all = all_options(source, options, attributes);
  std::vector<BorrowedFd> keep;
  for (const auto& option : all) keep.push_back(option.file);
  unsigned flags = to_fsmount(attributes);
  ASSIGN_OR_RETURN(auto answer, call_in_child(keep, deadline, [&](ChildReply& reply) {
                     make_mount(type.c_str(), all, flags, reply);
                   }));
  if (answer.number != 0) return tl::unexpected(mount_failure(answer, type, source, all));
  if (answer.files.size() != 1) return fail(Code::kInternal, "mount {}: no mount came back", type);
  return DetachedMount(std::move(answer.files[0]));
}

Result<OpenedPath> open_in_child(const std::string& path, int flags,
                                 std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(auto answer, call_in_child({}, deadline, [&](ChildReply& reply) {
                     int fd = ::open(path.c_str(), flags | O_CLOEXEC);
                     if (fd < 0) return reply.fail(0, errno);
                     give_with_status(fd, reply);
                   }));
  return opened(std::move(answer), path);
}

Result<OpenedPath> open_responding_in_child(BorrowedFd directory, const std::string& name,
                                            std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(auto answer, call_in_child({directory}, deadline, [&](ChildReply& reply) {
                     ask_root(directory.get(), name.c_str(), reply);
                   }));
  return opened(std::move(answer), name);
}

Status unmount_in_child(const std::string& path, bool lazy, std::chrono::milliseconds deadline) {
  int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
  ASSIGN_OR_RETURN(auto answer, call_in_child({}, deadline, [&](ChildReply& reply) {
                     if (::umount2(path.c_str(), flags) != 0) reply.fail(0, errno);
                   }));
  if (answer.number == 0) return {};
  return fail_errno_text(answer.number, fmt::format("unmount \"{}\"", path));
}

Status unmount_from_tree(BorrowedFd directory, const std::string& name, const std::string& path,
                         std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(bool mounted, is_mounted_on(directory, name));
  if (!mounted) return {};
  auto status = unmount_in_child(path, false, deadline);
  // Busy by somebody's open file: out of the tree now, gone when they close it.
  if (!status && status.error().code == Code::kConflict)
    status = unmount_in_child(path, true, deadline);
  if (status || status.error().code != Code::kDeadlineExceeded) return status;
  ASSIGN_OR_RETURN(bool still, is_mounted_on(directory, name));
  return still ? status : Status{};
}

}  // namespace holdfast
