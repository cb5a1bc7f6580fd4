#include "os/file_identity.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace holdfast {
namespace {

// Changing the file system user takes capabilities out of effect: all that are permitted come back.
Status restore_capabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return fail_errno("capget");
  for (auto& part : data) part.effective = part.permitted;
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno("capset");
  return {};
}

// By system call: the C library would change all threads.
Status take_identity(uid_t uid, gid_t gid) {
  ::syscall(SYS_setfsgid, gid);
  ::syscall(SYS_setfsuid, uid);
  // The only way to ask whether it was done is to do it again with what can't be.
  if (::syscall(SYS_setfsuid, -1) != static_cast<long>(uid) ||
      ::syscall(SYS_setfsgid, -1) != static_cast<long>(gid))
    return fail(Code::kPermissionDenied, "cannot take file system ids {}:{}", uid, gid);
  return restore_capabilities();
}

}  // namespace

Status run_with_file_identity(uid_t uid, gid_t gid, const std::function<Status()>& work) {
  Status result;
  std::thread thread([&] {
    result = take_identity(uid, gid);
    if (result) result = work();
  });
  thread.join();
  return result;
}

}  // namespace holdfast
