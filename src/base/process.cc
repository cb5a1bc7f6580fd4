#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/file.h"

extern char** environ;

namespace holdfast {
namespace {

// Everything the child needs, laid out before fork(): after it, only async-signal-safe calls are
// allowed.
struct ChildPlan {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> environment_text;
  std::vector<char*> environment;
  std::vector<std::pair<int, int>> fds;  // {ours, child's}, 0..2 first
  int highest_fd = 2;
};

constexpr std::chrono::seconds kKillDeadline(5);

constexpr int kPrepareFailed = 1;
struct ChildFailure {
  int number;
  int where;
};

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
  while (true) {
    auto colon = rest.find(':');
    std::string candidate = fmt::format("{}/{}", rest.substr(0, colon), name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  return fail(Code::kNotFound, "program \"{}\" not found in PATH", name);
}

std::vector<std::string> merged_environment(const ProcessOptions& options) {
  std::vector<std::string> result = options.environment;
  if (options.clear_environment) return result;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text = *entry;
    std::string_view name = text.substr(0, text.find('=') + 1);
    bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                [&](const std::string& own) { return own.starts_with(name); });
    if (!replaced) result.emplace_back(text);
  }
  return result;
}

Result<ChildPlan> plan_child(const ProcessOptions& options, int null_fd) {
  CHECK(!options.argv.empty());
  ChildPlan plan;
  ASSIGN_OR_RETURN(plan.program, find_program(options.argv[0]));
  for (const auto& argument : options.argv)
    plan.argv.push_back(const_cast<char*>(argument.c_str()));
  plan.argv.push_back(nullptr);
  plan.environment_text = merged_environment(options);
  for (auto& entry : plan.environment_text) plan.environment.push_back(entry.data());
  plan.environment.push_back(nullptr);
  std::array<int, 3> standard = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  for (int i = 0; i < 3; ++i) {
    int source = standard[static_cast<std::size_t>(i)];
    plan.fds.emplace_back(source >= 0 ? source : null_fd, i);
  }
  plan.fds.insert(plan.fds.end(), options.extra_fds.begin(), options.extra_fds.end());
  for (auto [ours, theirs] : plan.fds) plan.highest_fd = std::max({plan.highest_fd, ours, theirs});
  return plan;
}

// Moves the planned descriptors to their numbers without one overwriting another's source, and
// closes the rest.
int arrange_fds(const ChildPlan& plan, int report_fd, int& moved_report) {
  std::array<int, 64> lifted;
  if (plan.fds.size() > lifted.size()) return E2BIG;
  moved_report = ::fcntl(report_fd, F_DUPFD_CLOEXEC, plan.highest_fd + 1);
  if (moved_report < 0) return errno;
  for (std::size_t i = 0; i < plan.fds.size(); ++i) {
    lifted[i] = ::fcntl(plan.fds[i].first, F_DUPFD_CLOEXEC, plan.highest_fd + 1);
    if (lifted[i] < 0) return errno;
  }
  for (std::size_t i = 0; i < plan.fds.size(); ++i) {
    if (::dup2(lifted[i], plan.fds[i].second) < 0) return errno;
  }
  // Everything above stays close-on-exec; what the daemon's libraries opened without the flag goes
  // too.
  ::syscall(SYS_close_range, plan.highest_fd + 1, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  for (int fd = 3; fd <= plan.highest_fd; ++fd) {
    bool wanted = false;
    for (auto [ours, theirs] : plan.fds) wanted = wanted || theirs == fd;
    if (!wanted) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  return 0;
}

[[noreturn]] void run_child(const ProcessOptions& options, const ChildPlan& plan, int report_fd,
                            pid_t parent) {
  int report = report_fd;
  auto give_up = [&report](int number, int where) {
    ChildFailure failure{number, where};
    [[maybe_unused]] auto ignored = ::write(report, &failure, sizeof failure);
    ::_exit(127);
  };
  if (options.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
  }
  if (options.new_session) ::setsid();
  if (options.prepare) {
    if (int number = options.prepare()) give_up(number, kPrepareFailed);
  }
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) give_up(errno, 0);
  if (int number = arrange_fds(plan, report_fd, report)) give_up(number, 0);
  struct sigaction defaults = {};
  defaults.sa_handler = SIG_DFL;
  for (int number : {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGHUP})
    ::sigaction(number, &defaults, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(plan.program.c_str(), plan.argv.data(), plan.environment.data());
  give_up(errno, 0);
  ::_exit(127);
}

ExitStatus to_exit_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return ExitStatus{info.si_status, 0};
  return ExitStatus{128 + info.si_status, info.si_status};
}

}  // namespace

Result<Process> Process::spawn(const ProcessOptions& options) {
  ASSIGN_OR_RETURN(auto null, open_file("/dev/null", O_RDWR));
  ASSIGN_OR_RETURN(auto plan, plan_child(options, null.get()));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd report_read(ends[0]);
  UniqueFd report_write(ends[1]);
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork for \"{}\"", plan.program);
  if (pid == 0) run_child(options, plan, report_write.get(), parent);
  report_write.reset();
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  int pidfd_errno = errno;
  Process process(pid, std::move(pidfd));
  if (!process.pidfd_) return fail_errno_text(pidfd_errno, "pidfd_open");
  ChildFailure failure = {};
  ssize_t count;
  do {
    count = ::read(report_read.get(), &failure, sizeof failure);
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(sizeof failure)) {
    if (failure.where == kPrepareFailed) {
      return tl::unexpected(system_error(failure.number, options.prepare_context));
    }
    return tl::unexpected(system_error(failure.number, fmt::format("exec \"{}\"", plan.program)));
  }
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Process::~Process() { kill_and_reap(); }

void Process::kill_and_reap() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  auto ended = wait_for(kKillDeadline);
  if (ended && !*ended) pid_ = -1;
}

Result<ExitStatus> Process::wait() {
  CHECK(pid_ > 0);
  siginfo_t info = {};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0) {
    if (errno != EINTR) return fail_errno("wait for process {}", pid_);
  }
  pid_ = -1;
  return to_exit_status(info);
}

Result<std::optional<ExitStatus>> Process::wait_for(std::chrono::milliseconds timeout) {
  struct pollfd entry = {pidfd_.get(), POLLIN, 0};
  int ready = ::poll(&entry, 1, static_cast<int>(timeout.count()));
  if (ready < 0 && errno != EINTR) return fail_errno("poll");
  if (ready <= 0) return std::optional<ExitStatus>();
  ASSIGN_OR_RETURN(auto status, wait());
  return std::optional<ExitStatus>(status);
}

Status Process::signal(int number) {
  if (::kill(pid_, number) != 0) return fail_errno("signal {} to process {}", number, pid_);
  return {};
}

UniqueFd Process::detach() {
  pid_ = -1;
  return std::move(pidfd_);
}

namespace {

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

constexpr std::size_t kOutputLimit = 16 << 20;

// Takes what is there to read; closes the fd at end of file.
void drain(UniqueFd& fd, std::string& into) {
  char buffer[65536];
  ssize_t count = ::read(fd.get(), buffer, sizeof buffer);
  if (count > 0) {
    if (into.size() < kOutputLimit) into.append(buffer, static_cast<std::size_t>(count));
  } else if (count == 0 || errno != EINTR) {
    fd.reset();
  }
}

void feed(UniqueFd& fd, std::string_view& input) {
  ssize_t count = input.empty()
                      ? 0
                      : ::write(fd.get(), input.data(), std::min<std::size_t>(input.size(), 4096));
  if (count > 0) input.remove_prefix(static_cast<std::size_t>(count));
  if (input.empty() || (count < 0 && errno != EINTR && errno != EAGAIN)) fd.reset();
}

// Moves bytes until both outputs are closed, or the process of `pidfd` (if any) has ended and what
// it wrote is read; false when the deadline passed first.
bool exchange_streams(UniqueFd& in, UniqueFd& out, UniqueFd& err, std::string_view input,
                      CommandOutput& result, std::chrono::steady_clock::time_point deadline,
                      BorrowedFd pidfd) {
  while (out || err) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    std::array<struct pollfd, 4> entries = {{{out.get(), POLLIN, 0},
                                             {err.get(), POLLIN, 0},
                                             {in.get(), POLLOUT, 0},
                                             {pidfd.get(), POLLIN, 0}}};
    int ready = ::poll(entries.data(), entries.size(), static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (entries[0].revents) drain(out, result.out);
    if (entries[1].revents) drain(err, result.err);
    if (entries[2].revents) feed(in, input);
    if (entries[3].revents && !entries[0].revents && !entries[1].revents) return true;
  }
  return true;
}

// The children of process `pid`, and theirs.
std::vector<pid_t> descendants_of(pid_t pid) {
  std::vector<pid_t> found = {pid};
  for (std::size_t i = 0; i < found.size(); ++i) {
    auto text = read_file(fmt::format("/proc/{0}/task/{0}/children", found[i]));
    if (!text) continue;
    const char* at = text->c_str();
    char* end = nullptr;
    for (long child; (child = std::strtol(at, &end, 10)) > 0 && end != at; at = end)
      found.push_back(static_cast<pid_t>(child));
  }
  found.erase(found.begin());
  return found;
}

}  // namespace

Result<CommandOutput> run_command(ProcessOptions options, std::string_view input,
                                  std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(auto in, make_pipe());
  ASSIGN_OR_RETURN(auto out, make_pipe());
  ASSIGN_OR_RETURN(auto err, make_pipe());
  options.stdin_fd = in.read_end.get();
  options.stdout_fd = out.write_end.get();
  options.stderr_fd = err.write_end.get();
  auto deadline = std::chrono::steady_clock::now() + timeout;
  ASSIGN_OR_RETURN(auto process, Process::spawn(options));
  in.read_end.reset();
  out.write_end.reset();
  err.write_end.reset();
  if (input.empty()) in.write_end.reset();
  CommandOutput result;
  bool finished =
      exchange_streams(in.write_end, out.read_end, err.read_end, input, result, deadline,
                       options.leaves_processes ? process.pidfd() : BorrowedFd(-1));
  if (!finished) {
    if (options.leaves_processes) {
      for (pid_t child : descendants_of(process.pid())) ::kill(child, SIGKILL);
    }
    return fail(Code::kDeadlineExceeded, "\"{}\" did not finish within {} ms", options.argv[0],
                timeout.count());
  }
  ASSIGN_OR_RETURN(result.status, process.wait());
  return result;
}

Result<unsigned long long> process_start_time(pid_t pid) {
  auto text = read_file(fmt::format("/proc/{}/stat", pid));
  if (!text) return tl::unexpected(std::move(text).error());
  // The command name in parentheses may itself hold blanks and parentheses: count fields after the
  // last one.
  auto position = text->find_last_of(')');
  if (position == std::string::npos) return fail(Code::kInternal, "malformed /proc/{}/stat", pid);
  std::string_view rest = std::string_view(*text).substr(position + 1);
  for (int field = 3; field <= 22; ++field) {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(' ')));
    auto end = rest.find(' ');
    if (field == 22) return std::strtoull(std::string(rest.substr(0, end)).c_str(), nullptr, 10);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end);
  }
  return fail(Code::kInternal, "malformed /proc/{}/stat", pid);
}

Result<UniqueFd> open_process(pid_t pid, unsigned long long start_time) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return fail(Code::kNotFound, "no process {}", pid);
  // Checked after the pidfd exists: from then on the number cannot be given to another process
  // unseen.
  auto started = process_start_time(pid);
  if (!started || *started != start_time) return fail(Code::kNotFound, "no process {}", pid);
  return fd;
}

}  // namespace holdfast
