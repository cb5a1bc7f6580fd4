#include "os/loop_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.h"
#include "os/child_call.h"

namespace holdfast {
namespace {

enum Step { kAsk, kControl, kFree, kOpen, kConfigure };

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::string_view last_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// The devices whose file has the same name: only they are asked what file it is, because the answer
// takes a look at it, and it may be one on a file system that hangs.
Result<std::vector<std::string>> candidates_for(const std::string& path) {
  std::unique_ptr<DIR, CloseDirectory> blocks(::opendir("/sys/block"));
  if (!blocks) return fail_errno("open \"/sys/block\"");
  std::vector<std::string> found;
  while (const auto* entry = ::readdir(blocks.get())) {
    std::string name = entry->d_name;
    if (!name.starts_with("loop")) continue;
    auto backing = read_file(fmt::format("/sys/block/{}/loop/backing_file", name));
    if (!backing) continue;
    while (backing->ends_with('\n')) backing->pop_back();
    if (last_name(*backing) == last_name(path)) found.push_back("/dev/" + name);
  }
  return found;
}

bool is_over(int device, const struct stat& file) {
  loop_info64 state = {};
  return ::ioctl(device, LOOP_GET_STATUS64, &state) == 0 && state.lo_device == file.st_dev &&
         state.lo_inode == file.st_ino && state.lo_offset == 0;
}

int configure_loop(int device, int file, const LoopOptions& options) {
  loop_config config = {};
  config.fd = static_cast<__u32>(file);
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (options.read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
  if (options.direct) {
    config.block_size = 4096;
    config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
    if (::ioctl(device, LOOP_CONFIGURE, &config) == 0) return 0;
    if (errno != EINVAL) return errno;
    config.info.lo_flags &= ~static_cast<__u32>(LO_FLAGS_DIRECT_IO);
  }
  return ::ioctl(device, LOOP_CONFIGURE, &config) == 0 ? 0 : errno;
}

// In the child. Answers with the open device and its path.
class Attaching {
 public:
  Attaching(const OpenedPath& file, const std::vector<std::string>& candidates, int control,
            const LoopOptions& options)
      : file_(file), candidates_(candidates), control_(control), options_(options) {}

  void run(ChildReply& reply) const {
    if (!take_existing(reply)) make_new(reply);
  }

 private:
  int open_device(const char* path) const {
    return ::open(path, (options_.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  }

  bool take_existing(ChildReply& reply) const {
    for (const auto& path : candidates_) {
      int device = open_device(path.c_str());
      if (device < 0) continue;
      if (is_over(device, file_.status)) {
        reply.append(path);
        reply.give(device);
        return true;
      }
      ::close(device);
    }
    return false;
  }

  void make_new(ChildReply& reply) const {
    // Another process may take the free device first: ask for the next one.
    for (int attempt = 0; attempt < 64; ++attempt) {
      int number = ::ioctl(control_, LOOP_CTL_GET_FREE);
      if (number < 0) return reply.fail(kFree, errno);
      char path[32];
      *fmt::format_to_n(path, sizeof path - 1, "/dev/loop{}", number).out = '\0';
      int device = open_device(path);
      if (device < 0) return reply.fail(kOpen, errno);
      int failure = configure_loop(device, file_.fd.get(), options_);
      if (failure == 0) {
        reply.append(path);
        return reply.give(device);
      }
      ::close(device);
      if (failure != EBUSY) return reply.fail(kConfigure, failure);
    }
    reply.fail(kFree, EBUSY);
  }

  const OpenedPath& file_;
  const std::vector<std::string>& candidates_;
  int control_;
  const LoopOptions& options_;
};

}  // namespace

Result<LoopDevice> attach_loop_device(const OpenedPath& file, const LoopOptions& options,
                                      std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(auto candidates, candidates_for(file.path));
  ASSIGN_OR_RETURN(auto control, open_file("/dev/loop-control", O_RDWR));
  Attaching attaching(file, candidates, control.get(), options);
  ASSIGN_OR_RETURN(auto answer, call_in_child({file.fd, control}, deadline,
                                              [&](ChildReply& reply) { attaching.run(reply); }));
  if (answer.number != 0) {
    const char* what = answer.step == kFree   ? "find a free loop device"
                       : answer.step == kOpen ? "open loop device"
                                              : "set up loop device";
    return fail_errno_text(answer.number, fmt::format("{} for \"{}\"", what, file.path));
  }
  if (answer.files.size() != 1)
    return fail(Code::kInternal, "no loop device came back for \"{}\"", file.path);
  return LoopDevice{std::move(answer.text), std::move(answer.files[0])};
}

bool is_loop_over(const std::string& device, const struct stat& file) {
  auto opened = open_file(device, O_RDONLY);
  return opened && is_over(opened->get(), file);
}

Status update_loop_size(BorrowedFd device) {
  if (::ioctl(device.get(), LOOP_SET_CAPACITY) != 0) return fail_errno("grow loop device");
  return {};
}

}  // namespace holdfast
