#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "os/loop_device.h"
#include "os/mount.h"

// What may hang for as long as a file system's server is away, done by a child process
// (os/child_call.h): past the deadline kDeadlineExceeded, and the child is on its own. Mounting
// needs CAP_SYS_ADMIN.
namespace holdfast {

// mount_filesystem() of os/mount.h. Kernels that take no descriptor for an option get its name
// below /proc/self/fd.
Result<DetachedMount> mount_filesystem_in_child(const std::string& type, const std::string& source,
                                                const std::vector<MountOption>& options,
                                                const MountAttributes& attributes,
                                                std::chrono::milliseconds deadline);

// open(2) and fstat(2) of a path of the host.
Result<OpenedPath> open_in_child(const std::string& path, int flags,
                                 std::chrono::milliseconds deadline);

// The root of what is mounted on `directory`/`name` (O_PATH), once its file system has answered: it
// was asked for the root's attributes and first entries. What it answers with when it is broken
// (ENOTCONN: its process is gone; ESTALE) is in sys_errno.
Result<OpenedPath> open_responding_in_child(BorrowedFd directory, const std::string& name,
                                            std::chrono::milliseconds deadline);

// unmount() of os/mount.h. Past the deadline it is out of the tree as a rule, and only the file
// system's own end hangs.
Status unmount_in_child(const std::string& path, bool lazy, std::chrono::milliseconds deadline);

// Takes what is mounted on `directory`/`name` (host path `path`), if anything is, out of the tree:
// at once, even if somebody has it open, or if it hangs on its way out.
Status unmount_from_tree(BorrowedFd directory, const std::string& name, const std::string& path,
                         std::chrono::milliseconds deadline);

}  // namespace holdfast
