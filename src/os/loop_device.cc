#include "os/loop_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "base/file.h"

namespace holdfast {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::optional<LoopDevice>> find_device_of(const struct stat& file) {
  std::unique_ptr<DIR, CloseDirectory> blocks(::opendir("/sys/block"));
  if (!blocks) return fail_errno("open \"/sys/block\"");
  while (const auto* entry = ::readdir(blocks.get())) {
    std::string name = entry->d_name;
    if (!name.starts_with("loop")) continue;
    if (!file_exists(fmt::format("/sys/block/{}/loop/backing_file", name))) continue;
    auto device = open_file("/dev/" + name, O_RDWR);
    if (!device) continue;
    loop_info64 state = {};
    if (::ioctl(device->get(), LOOP_GET_STATUS64, &state) != 0) continue;
    if (state.lo_device == file.st_dev && state.lo_inode == file.st_ino && state.lo_offset == 0)
      return LoopDevice{"/dev/" + name, std::move(*device)};
  }
  return std::nullopt;
}

}  // namespace

Result<LoopDevice> attach_loop_device(BorrowedFd file, bool read_only) {
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("stat backing file of loop device");
  ASSIGN_OR_RETURN(auto existing, find_device_of(status));
  if (existing) return std::move(*existing);
  ASSIGN_OR_RETURN(auto control, open_file("/dev/loop-control", O_RDWR));
  // Another process may take the free device first: ask for the next one.
  for (int attempt = 0; attempt < 64; ++attempt) {
    int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return fail_errno("find a free loop device");
    LoopDevice loop;
    loop.path = fmt::format("/dev/loop{}", number);
    ASSIGN_OR_RETURN(loop.device, open_file(loop.path, read_only ? O_RDONLY : O_RDWR));
    loop_config config = {};
    config.fd = static_cast<__u32>(file.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    if (::ioctl(loop.device.get(), LOOP_CONFIGURE, &config) == 0) return loop;
    if (errno != EBUSY) return fail_errno("set up loop device \"{}\"", loop.path);
  }
  return fail(Code::kUnavailable, "no free loop device: others take them as fast as we ask");
}

}  // namespace holdfast
