#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "base/unique_fd.h"

namespace holdfast {

// What a child does to its surroundings between fork and exec. Filled before the fork; enter()
// makes system calls only.
struct ChildSurroundings {
  std::string pid_file;      // its own pid is written there; empty: nowhere
  std::string hidden_mount;  // unmounted from its view; empty: none
  // Made a read-only mount of itself in its view: crun then need not copy itself out of reach of
  // the container before each thing it does. Empty: none.
  std::string read_only_program;
  // Detached mounts and where they go.
  std::vector<std::pair<BorrowedFd, std::string>> mounts;

  // Gives the calling process a mount namespace of its own if it needs one, which the host's mounts
  // and unmounts still reach, but which reaches the host in nothing. Returns 0 or an errno.
  int enter() const;
};

// How conmon is started; see conmon(8).
struct MonitorPlan {
  std::string program;
  std::vector<std::string> arguments;
  std::string directory;  // its working directory
  std::string temporary_directory;
  ChildSurroundings surroundings;
  bool waits_for_attach = false;  // --exec-attach: two more pipes
};

// A conmon that runs, and our ends of its pipes.
class StartingMonitor {
 public:
  static Result<StartingMonitor> spawn(const MonitorPlan& plan);

  // Waits until its attach socket listens; only with waits_for_attach.
  Status wait_for_socket();
  // Lets it go on after wait_for_socket().
  Status release();
  // Waits for the runtime's answer: the pid of the container's or session's process. A refusal is
  // kUnavailable with the runtime's own words.
  Result<pid_t> wait_for_pid();

  pid_t pid() const { return process_.pid(); }
  // Moves it to other control groups, by their cgroup.procs, as far as they take it.
  void join(const std::vector<UniqueFd>& groups) const;
  // Gives it up: it lives on whatever becomes of us. Whoever waits for its end reaps it.
  void detach() { (void)process_.detach(); }

 private:
  StartingMonitor(Process process, UniqueFd errors)
      : errors_(std::move(errors)), process_(std::move(process)) {}
  Error failure() const;

  UniqueFd errors_;  // what it printed before it had a log
  UniqueFd sync_;
  UniqueFd start_;  // its end of file would let a session begin,
  UniqueFd attach_;
  Process process_;  // so the process, declared last, is killed before
};

}  // namespace holdfast
