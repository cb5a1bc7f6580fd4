#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/process.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "runtime/oci_spec.h"

namespace holdfast {

struct RuntimeOptions {
  std::string exec_root;  // "/run/holdfast"; may lie on a shared mount
  std::string
      default_runtime;  // "crun", "runc" or a path; empty: the first of the two that works here
  std::string conmon = "conmon";
  std::string cgroup_parent = "/holdfast";
};

// The process that keeps a container's (or an exec session's) stdio, log and exit code while the
// daemon comes and goes: conmon, in its own session. Pid and start time name it for good and may be
// recorded; `directory` is where it leaves its files.
struct MonitorProcess {
  pid_t pid = 0;
  unsigned long long start_time = 0;
  std::string directory;
};

struct CreateRequest {
  ContainerId id;
  ContainerSpec spec;       // cgroup_path empty: <cgroup_parent>/<id>
  BorrowedFd rootfs{-1};    // a detached mount; moved away on success
  std::string log_path;     // conmon's k8s-file log; appended to
  bool stdin_open = false;  // keep a pipe (or the terminal) for stdin
  bool stdin_once = false;  // stdin ends when the first attached client does (not on a terminal)
};

struct CreatedContainer {
  pid_t pid = 0;  // of the container's first process, in the daemon's pid namespace
  MonitorProcess monitor;
};

struct ExecRequest {
  ContainerId container;
  std::string exec_id;
  ExecSpec spec;
  bool stdin_open = false;
};

// An exec session whose monitor runs and listens, but whose process does not yet: connect an
// AttachStream to directory() first, then start(). Dropping it unstarted ends the monitor.
class PendingExec {
 public:
  PendingExec(PendingExec&&) noexcept;
  PendingExec& operator=(PendingExec&&) noexcept;
  ~PendingExec();

  const std::string& directory() const;

  struct Started {
    pid_t pid = 0;
    MonitorProcess monitor;
  };
  // Lets the process start. Errors carry Docker's words ("OCI runtime exec failed: …").
  Result<Started> start();

 private:
  friend class Runtime;
  struct Impl;
  explicit PendingExec(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A snapshot of a container's resource use, from its cgroup's files. Times in ns, sizes in bytes.
struct ContainerStats {
  std::uint64_t cpu_total = 0, cpu_user = 0, cpu_system = 0;
  std::vector<std::uint64_t> cpu_per_core;  // empty on v2
  std::uint64_t throttle_periods = 0, throttled_periods = 0, throttled_time = 0;
  std::uint64_t system_cpu = 0;  // all CPUs of the machine together, since boot
  unsigned online_cpus = 0;
  std::uint64_t memory_usage = 0, memory_max_usage = 0, memory_limit = 0, memory_fail_count = 0;
  std::map<std::string, std::uint64_t> memory;  // memory.stat
  std::uint64_t pids = 0, pids_limit = 0;       // limit 0: none
  struct BlockIo {
    std::uint64_t major = 0, minor = 0;
    std::string operation;  // "read", "write"
    std::uint64_t value = 0;
  };
  std::vector<BlockIo> io_bytes, io_operations;
  bool cgroup_v2 = false;
};

// What `ps` says of a container's processes.
struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> processes;
};

// Drives an OCI runtime (crun, runc) and conmon. Nothing is ever mounted in the daemon's mount
// namespace: each monitor gets a private one, into which the container's detached mounts are moved,
// so that they vanish with it, whoever is killed. Keeps no state in memory; all is beneath
// exec_root:
//
//   <exec_root>/
//     containers/<id>/         the bundle: config.json, and what conmon serves: attach, ctl
//       runtime                name of the runtime it was created with
//       pid, conmon.pid        of the container's first process and of the monitor
//       exit/<id>, oom         left by the monitor at the end
//       rootfs/, mounts/<n>    mount points, filled in the monitor's namespace only
//       exec/<exec id>/        process.json, pid, conmon.pid, attach, ctl, exit/<id>
//     runtime/<name>/          the runtime's own --root
//
// All methods may be called from any thread and block for as long as the programs take (ms).
class Runtime {
 public:
  // Finds the runtime by running a trial of each candidate, unless one is named. kUnavailable when
  // none works, saying why.
  static Result<std::unique_ptr<Runtime>> open(RuntimeOptions options);
  ~Runtime();

  // "crun" or "runc"; its version as `--version` gives it; the program's path.
  const std::string& name() const;
  const std::string& version() const;
  const std::string& program() const;
  const std::string& init_program() const;  // docker-init, or empty

  std::string container_directory(const ContainerId& id) const;
  std::string exec_directory(const ContainerId& id, const std::string& exec_id) const;

  // Makes the container and its monitor; its process waits for start(). On failure nothing is left.
  // Errors carry Docker's words; start_failure_exit_code() gives the exit code they stand for.
  Result<CreatedContainer> create(const CreateRequest& request);
  Status start(const ContainerId& id);

  // Signals the container's first process. kNotFound when it has ended.
  Status kill(const ContainerId& id, int signal);
  // Signals every process of the container.
  Status kill_all(const ContainerId& id, int signal);
  Status pause(const ContainerId& id);
  Status resume(const ContainerId& id);
  Status update(const ContainerId& id, const ContainerResources& resources);

  // Ends what still runs of the container, and removes cgroup, state and directory. Safe to repeat;
  // success when there is nothing.
  Status remove(const ContainerId& id);
  // Removes an ended exec session's directory.
  Status remove_exec(const ContainerId& id, const std::string& exec_id);

  Result<PendingExec> prepare_exec(const ExecRequest& request);

  // For taking over: the monitor of a container or exec session by its pid file; kNotFound when it
  // has ended (read_exit_record() then tells how).
  Result<MonitorProcess> find_monitor(const std::string& directory) const;
  // The container's first process; kNotFound when it has ended.
  Result<pid_t> find_process(const ContainerId& id) const;
  // Directories that hold containers, ended or not.
  Result<std::vector<ContainerId>> list() const;

  // The root directory as the running container sees it, volumes included (O_PATH).
  Result<UniqueFd> open_root(const ContainerId& id) const;
  // A detached clone of the mount at `path` inside the running container, without the mounts below
  // it, for another one to have too (--ipc container:ID shares /dev/shm).
  Result<UniqueFd> clone_mount(const ContainerId& id, const std::string& path) const;
  // A path that joins the running container's namespace `kind` ("net", "pid", "ipc", "uts", …).
  Result<std::string> namespace_path(const ContainerId& id, const std::string& kind) const;

  Result<std::vector<pid_t>> processes(const ContainerId& id) const;
  // `ps` with `arguments` ("-ef" when empty), cut down to the container's processes.
  Result<ProcessTable> top(const ContainerId& id, const std::vector<std::string>& arguments) const;
  Result<ContainerStats> stats(const ContainerId& id) const;

 private:
  struct Impl;
  explicit Runtime(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The exit code Docker gives a container (or exec) that create() or start() refused: 127 command
// not found, 126 not executable, else 128.
int start_failure_exit_code(const Error& error);

}  // namespace holdfast
