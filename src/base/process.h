#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// How a child is to be started. Descriptors not listed are closed in the child.
struct ProcessOptions {
  std::vector<std::string> argv;  // argv[0] is looked up on PATH when it has no slash
  std::vector<std::string>
      environment;  // "NAME=value"; replaces ours when `clear_environment`, else adds
  bool clear_environment = false;
  std::string directory;  // working directory; empty: ours
  int stdin_fd = -1;      // -1: /dev/null; borrowed
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::vector<std::pair<int, int>> extra_fds;  // {ours, number in the child (>= 3)}
  bool new_session = false;                    // setsid(2) in the child
  bool die_with_parent = false;                // PR_SET_PDEATHSIG SIGKILL
  // For run_command(): processes it leaves behind, which may hold its output open, aren't waited
  // for; past the deadline those it still has are killed with it.
  bool leaves_processes = false;
  // Runs in the child after fork and before exec; only async-signal-safe calls. Returns 0, or an
  // errno which spawn() reports with the words of `prepare_context`.
  std::function<int()> prepare;
  std::string prepare_context;
};

// How a child ended.
struct ExitStatus {
  int code = 0;    // exit code, or 128 + signal
  int signal = 0;  // 0: it exited
  bool success() const { return code == 0 && signal == 0; }
};

// A child process, held by a pidfd. Destruction kills and reaps it, unless detach()ed; one that the
// kernel doesn't let go of for seconds (it waits for a disk or server) is left behind. One owner;
// not thread-safe.
class Process {
 public:
  // Fails when the program cannot be executed (kNotFound, kPermissionDenied) or `prepare` failed.
  static Result<Process> spawn(const ProcessOptions& options);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const { return pid_; }
  BorrowedFd pidfd() const { return pidfd_; }

  // Waits and reaps. With a timeout, nullopt when it is still running then.
  Result<ExitStatus> wait();
  Result<std::optional<ExitStatus>> wait_for(std::chrono::milliseconds timeout);
  Status signal(int number);

  // Gives the child up: it is neither killed nor reaped by us. Returns its pidfd.
  UniqueFd detach();

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void kill_and_reap();

  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// What a finished command printed.
struct CommandOutput {
  ExitStatus status;
  std::string out;
  std::string err;
};

// Runs a command to its end with `input` on its stdin, collecting up to 16 MiB of each stream. Past
// `timeout` the child is killed and kDeadlineExceeded returned. A non-zero exit is not an error
// here.
Result<CommandOutput> run_command(ProcessOptions options, std::string_view input = {},
                                  std::chrono::milliseconds timeout = std::chrono::minutes(2));

// The time a process was started, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)):
// with the pid it names a process for good. kNotFound when it is gone.
Result<unsigned long long> process_start_time(pid_t pid);

// A pidfd for `pid`, if that process still is the one started at `start_time`; else kNotFound.
Result<UniqueFd> open_process(pid_t pid, unsigned long long start_time);

}  // namespace holdfast
