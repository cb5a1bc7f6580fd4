#include "os/private_namespace.h"

#include <sched.h>
#include <sys/mount.h>

#include <thread>

namespace holdfast {
namespace {

// Mount namespaces belong to threads; this one is never used for anything else.
Status enter_private_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("unshare mount namespace");
  // Slave: what is unmounted on the host goes here too, nothing goes the other way.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail_errno("make mounts slave");
  return {};
}

}  // namespace

Status run_in_private_mount_namespace(const std::function<Status()>& work) {
  Status result;
  std::thread thread([&] {
    result = enter_private_namespace();
    if (result) result = work();
  });
  thread.join();
  return result;
}

}  // namespace holdfast
