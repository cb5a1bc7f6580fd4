#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "os/loop_device.h"
#include "os/mount.h"
#include "storage/driver/host_path_judge.h"
#include "storage/driver/local/mount_deadlines.h"
#include "storage/driver/local/mount_options.h"
#include "storage/volume/operation_slots.h"
#include "storage/volume/volume.h"

namespace holdfast {

// The file systems that volumes name by type, o and device, mounted on their _data. Whatever may
// wait for a server or a disk is done by child processes (os/child_call.h), and is an error past
// its deadline, so that no thread of ours is lost to it. Owned by LocalDriver; thread-safe.
class ForeignMounts {
 public:
  explicit ForeignMounts(const MountDeadlines& deadlines) : deadlines_(deadlines) {}

  // Whether the options are such as can be mounted, and name no path of the host that the judge
  // refuses.
  Status check(const Volume& volume, const HostPathJudge& judge);

  // The root of the volume's file system (O_PATH), mounted on `directory`/_data (the host path
  // `target`) unless it is already; in that case it must answer, and be what the options say. One
  // whose process or server has forgotten it is mounted anew. Paths of the host are judged as they
  // are mounted. Errors are Docker's; kDeadlineExceeded names volume and device.
  Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory, const std::string& target,
                         const HostPathJudge& judge);

  // Nothing mounted is success. What is still open somewhere is taken out of the tree.
  Status unmount(const Volume& volume, BorrowedFd directory, const std::string& target);

  // Bytes used in the file system on `directory`/_data, if it is one that keeps count in memory and
  // is the volume's alone: not what a server has, nor a directory of the host.
  std::optional<std::uint64_t> used(const Volume& volume, BorrowedFd directory);

 private:
  struct Place;
  Result<UniqueFd> mount_anew(const LocalMount& mount, const Place& place);
  Result<UniqueFd> mount_by_kernel(const LocalMount& mount, const Place& place);
  Result<UniqueFd> mount_by_helper(const LocalMount& mount, const Place& place,
                                   const std::string& program);
  Result<DetachedMount> bind(const LocalMount& mount, const HostPathJudge& judge);
  Result<DetachedMount> overlay(const LocalMount& mount, const HostPathJudge& judge);
  Result<DetachedMount> file_system(LocalMount mount, const HostPathJudge& judge);
  // What to give the kernel for the device: a loop device where it is a file.
  struct Device {
    std::string path;
    std::optional<LoopDevice> loop;
  };
  Result<Device> device_for(const LocalMount& mount, const HostPathJudge& judge);
  Result<LoopDevice> loop_over(const LocalMount& mount, const HostPathJudge& judge);
  Result<OpenedPath> open_answering(const Place& place);
  Status check_identity(const LocalMount& mount, const OpenedPath& root, const Place& place);

  const MountDeadlines deadlines_;
  OperationSlots loops_;  // one at a time for each file that gets a loop device
};

}  // namespace holdfast
