#include "runtime/monitor_process.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/json.h"

namespace holdfast {
namespace {

// The numbers of the pipes in the child; conmon is told by environment.
constexpr int kSyncFd = 3;
constexpr int kStartFd = 4;
constexpr int kAttachFd = 5;

constexpr auto kPatience = std::chrono::minutes(2);
constexpr std::size_t kAnswerLimit = 64 << 10;

// snprintf(3) is not async-signal-safe.
std::size_t format_number(unsigned number, char* buffer) {
  std::array<char, 12> reversed;
  std::size_t length = 0;
  do {
    reversed[length++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number);
  for (std::size_t i = 0; i < length; ++i) buffer[i] = reversed[length - 1 - i];
  return length;
}

int write_own_pid(const char* path) {
  int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  std::array<char, 12> text;
  std::size_t length = format_number(static_cast<unsigned>(::getpid()), text.data());
  ssize_t written = ::write(fd, text.data(), length);
  int result = written == static_cast<ssize_t>(length) ? 0 : EIO;
  ::close(fd);
  return result;
}

// Failure only costs the program the time to protect itself.
void make_read_only(const char* path) {
  int fd = static_cast<int>(
      ::syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (fd < 0) return;
  struct mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) {
    ::syscall(SYS_move_mount, fd, "", AT_FDCWD, path,
              MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS);
  }
  ::close(fd);
}

struct Pipe {
  UniqueFd ours;
  UniqueFd theirs;
};

Result<Pipe> make_pipe(bool we_read) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  if (we_read) return Pipe{std::move(read_end), std::move(write_end)};
  return Pipe{std::move(write_end), std::move(read_end)};
}

// Waits until `fd` is readable; kDeadlineExceeded past `deadline`.
Status wait_readable(BorrowedFd fd, std::chrono::steady_clock::time_point deadline) {
  while (true) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(Code::kDeadlineExceeded, "conmon does not answer");
    struct pollfd entry = {fd.get(), POLLIN, 0};
    int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno("poll");
  }
}

// One line, without its newline; what there is at the end of the stream.
Result<std::string> read_line(BorrowedFd fd) {
  auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::vector<char> bytes;
  while (bytes.size() < kAnswerLimit &&
         std::find(bytes.begin(), bytes.end(), '\n') == bytes.end()) {
    RETURN_IF_ERROR(wait_readable(fd, deadline));
    std::array<char, 4096> buffer;
    ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read from conmon");
    if (count == 0) break;
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + count);
  }
  return std::string(bytes.begin(), std::find(bytes.begin(), bytes.end(), '\n'));
}

}  // namespace

int ChildSurroundings::enter() const {
  if (!pid_file.empty()) {
    if (int number = write_own_pid(pid_file.c_str())) return number;
  }
  if (mounts.empty() && hidden_mount.empty() && read_only_program.empty()) return 0;
  if (::unshare(CLONE_NEWNS) != 0) return errno;
  // Slave, not private: what the host unmounts must not stay pinned here. The detached mounts are
  // not part of this tree yet and keep their peer groups, so that rshared means the host.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno;
  if (!hidden_mount.empty() && ::umount2(hidden_mount.c_str(), MNT_DETACH) != 0) {
    if (errno != EINVAL && errno != ENOENT) return errno;  // not there: as wanted
  }
  if (!read_only_program.empty()) make_read_only(read_only_program.c_str());
  for (const auto& [tree, place] : mounts) {
    if (::syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, place.c_str(),
                  MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return errno;
    }
  }
  return 0;
}

Result<StartingMonitor> StartingMonitor::spawn(const MonitorPlan& plan) {
  ASSIGN_OR_RETURN(auto sync, make_pipe(true));
  ASSIGN_OR_RETURN(auto start, make_pipe(false));
  ASSIGN_OR_RETURN(auto attach, make_pipe(true));
  UniqueFd errors(::memfd_create("conmon-errors", MFD_CLOEXEC));
  if (!errors) return fail_errno("memfd_create");
  ProcessOptions options;
  options.argv = {plan.program};
  options.argv.insert(options.argv.end(), plan.arguments.begin(), plan.arguments.end());
  // Nothing of ours: a NOTIFY_SOCKET or LISTEN_FDS would be taken up by the runtime.
  options.clear_environment = true;
  options.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                         "TMPDIR=" + plan.temporary_directory,
                         fmt::format("_OCI_SYNCPIPE={}", kSyncFd)};
  options.extra_fds = {{sync.theirs.get(), kSyncFd}};
  if (plan.waits_for_attach) {
    options.environment.push_back(fmt::format("_OCI_STARTPIPE={}", kStartFd));
    options.environment.push_back(fmt::format("_OCI_ATTACHPIPE={}", kAttachFd));
    options.extra_fds.emplace_back(start.theirs.get(), kStartFd);
    options.extra_fds.emplace_back(attach.theirs.get(), kAttachFd);
  }
  options.directory = plan.directory;
  options.stderr_fd = errors.get();
  options.new_session = true;  // from the first moment, or a Ctrl-C on our terminal would reach it
  options.prepare = [&plan] { return plan.surroundings.enter(); };
  options.prepare_context = "prepare the mounts of the container";
  ASSIGN_OR_RETURN(auto process, Process::spawn(options));
  StartingMonitor monitor(std::move(process), std::move(errors));
  monitor.sync_ = std::move(sync.ours);
  if (plan.waits_for_attach) {
    monitor.start_ = std::move(start.ours);
    monitor.attach_ = std::move(attach.ours);
    // The first word lets it begin; it waits for a second one before it runs the session.
    RETURN_IF_ERROR(write_all(monitor.start_, "\n"));
  }
  return monitor;
}

void StartingMonitor::join(const std::vector<UniqueFd>& groups) const {
  std::string number = std::to_string(pid());
  for (const auto& procs : groups) {
    // Best effort: in our group it works as well, it only shares its fate there.
    [[maybe_unused]] auto ignored = ::write(procs.get(), number.data(), number.size());
  }
}

Error StartingMonitor::failure() const {
  std::string text;
  if (::lseek(errors_.get(), 0, SEEK_SET) == 0) text = read_all(errors_).value_or("");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return Error{Code::kInternal, 0, "conmon: " + (text.empty() ? "ended early" : text)};
}

Status StartingMonitor::wait_for_socket() {
  ASSIGN_OR_RETURN(auto line, read_line(attach_));
  attach_.reset();
  if (line.empty()) return tl::unexpected(failure());
  return {};
}

Status StartingMonitor::release() { return write_all(start_, "\n"); }

Result<pid_t> StartingMonitor::wait_for_pid() {
  ASSIGN_OR_RETURN(auto line, read_line(sync_));
  if (line.empty()) return tl::unexpected(failure());
  ASSIGN_OR_RETURN(auto answer, json::parse_object(line));
  auto pid = json::int_or(answer, "data", -1);
  if (pid <= 0) return fail(Code::kUnavailable, "{}", json::string_or(answer, "message"));
  return static_cast<pid_t>(pid);
}

}  // namespace holdfast
