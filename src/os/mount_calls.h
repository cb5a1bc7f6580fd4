#pragma once

#include <sys/mount.h>

#include <string>

#include "os/mount.h"

// What mounting in this process and in a child have in common; for os/ only.
namespace holdfast {

mount_attr to_kernel(const MountAttributes& attributes);

// Those that fsmount(2) takes.
unsigned to_fsmount(const MountAttributes& attributes);

// fsconfig(2) of one option; -1 and errno on failure. Usable after fork(2).
int configure(BorrowedFd context, const MountOption& option);

// The options with the source and what the attributes say of the file system.
std::vector<MountOption> all_options(const std::string& source,
                                     const std::vector<MountOption>& options,
                                     const MountAttributes& attributes);

// How a failure is called: `mount ext4: option "data=x"`.
std::string option_failure(const std::string& type, const MountOption& option);

}  // namespace holdfast
