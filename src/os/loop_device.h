#pragma once

#include <sys/stat.h>

#include <chrono>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// A loop device (loop(4)) over a file. It goes by itself when the last who uses it, a mount mostly,
// lets go.
struct LoopDevice {
  std::string path;  // "/dev/loop3"
  UniqueFd device;   // keeps it until it is mounted
};

struct LoopOptions {
  bool read_only = false;
  // Blocks of 4 KiB, and past the page cache of the file's own file system where that can do it.
  bool direct = false;
};

// An open file as call_in_child() opened it: fstat(2) of one whose file system is away would hang.
struct OpenedPath {
  UniqueFd fd;
  std::string path;
  struct stat status = {};
};

// The loop device that has `file` open already, or a new one: two devices over one file would not
// see each other's writes. One call at a time for one file. Done by a child process
// (os/child_call.h), since the file's own file system may hang: kDeadlineExceeded then. Needs
// CAP_SYS_ADMIN and /dev/loop-control.
Result<LoopDevice> attach_loop_device(const OpenedPath& file, const LoopOptions& options,
                                      std::chrono::milliseconds deadline);

// Whether loop device `device` ("/dev/loop3") has this file open. Looks at the file.
bool is_loop_over(const std::string& device, const struct stat& file);

// Tells the device that its file has grown.
Status update_loop_size(BorrowedFd device);

}  // namespace holdfast
