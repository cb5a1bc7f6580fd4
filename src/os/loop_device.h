#pragma once

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

// The loop device that has `file` open already, or a new one: two devices over one file would not
// see each other's writes. Needs CAP_SYS_ADMIN and /dev/loop-control.
Result<LoopDevice> attach_loop_device(BorrowedFd file, bool read_only);

}  // namespace holdfast
