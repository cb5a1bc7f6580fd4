// How monitors are found again and ended, and where they are kept.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "runtime/exit_monitor.h"
#include "runtime/runtime_impl.h"

namespace holdfast {
namespace {

bool wait_for_end(BorrowedFd pidfd, std::chrono::milliseconds patience) {
  struct pollfd entry = {pidfd.get(), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&entry, 1, static_cast<int>(patience.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// A monitor that this daemon started is its child; one taken over is not (ECHILD). Another child of
// ours may have got the number since: its status is not for us to take.
void reap(pid_t pid, BorrowedFd pidfd) {
  auto name = read_file(fmt::format("/proc/{}/comm", pid));
  if (!name || *name != "conmon\n") return;
  siginfo_t info = {};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info,
           WEXITED | WNOHANG);
}

}  // namespace

MonitorProcess describe_monitor(pid_t pid, const std::string& directory) {
  return MonitorProcess{pid, process_start_time(pid).value_or(0), directory};
}

Result<MonitorProcess> find_monitor_in(const std::string& directory) {
  auto gone = [&] { return fail(Code::kNotFound, "no monitor in \"{}\"", directory); };
  auto text = read_file(directory + "/conmon.pid");
  if (!text) return gone();
  auto pid = static_cast<pid_t>(std::strtol(text->c_str(), nullptr, 10));
  if (pid <= 0) return gone();
  auto monitor = describe_monitor(pid, directory);
  // The number may belong to another process by now: a monitor has its directory on its command
  // line.
  auto command = read_file(fmt::format("/proc/{}/cmdline", pid));
  if (!command) return gone();
  std::string wanted = std::string("--bundle") + '\0' + directory + '\0';
  if (command->find(wanted) == std::string::npos || monitor.start_time == 0) return gone();
  return monitor;
}

void Runtime::Impl::end_monitor(const std::string& directory,
                                std::chrono::milliseconds patience) const {
  auto text = read_file(directory + "/conmon.pid");
  if (!text) return;
  auto pid = static_cast<pid_t>(std::strtol(text->c_str(), nullptr, 10));
  UniqueFd pidfd(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1);
  if (!pidfd) return;
  if (find_monitor_in(directory) && !wait_for_end(pidfd, patience)) {
    ::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
    wait_for_end(pidfd, patience);
  }
  reap(pid, pidfd);
}

std::vector<UniqueFd> open_monitor_groups(const CgroupLayout& cgroups, const std::string& parent) {
  // Where systemd would look for processes to kill when the daemon's unit stops.
  std::set<std::string> hierarchies;
  if (!cgroups.unified.empty()) hierarchies.insert(cgroups.unified);
  const auto& controllers = cgroups.controllers;
  if (auto named = controllers.find("name=systemd"); named != controllers.end()) {
    hierarchies.insert(named->second);
  }
  std::vector<UniqueFd> result;
  for (const auto& hierarchy : hierarchies) {
    std::string directory = hierarchy + parent + "/monitors";
    if (!make_directories(directory, 0755)) continue;
    if (auto file = open_file(directory + "/cgroup.procs", O_WRONLY)) {
      result.push_back(std::move(*file));
    }
  }
  return result;
}

// A daemon that was killed while it wrote the file has left nothing of it, or the beginning: what
// that names is the whole machine's group, or all containers', and whoever is told of it may be
// about to kill all in it.
Result<std::string> Runtime::Impl::cgroup_of(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto cgroup, read_file(paths.container(id) + "/cgroup"));
  if (!cgroup.starts_with('/') || !cgroup.ends_with("/" + id.str()))
    return fail(Code::kNotFound, "\"{}\" is no group of container {}", cgroup, id);
  return cgroup;
}

std::string Runtime::Impl::cgroup_directory(const std::string& cgroup,
                                            const std::string& controller) const {
  auto found = host.cgroups.controllers.find(controller);
  if (found != host.cgroups.controllers.end()) return found->second + cgroup;
  return host.cgroups.mode == CgroupLayout::Mode::kV2 ? host.cgroups.unified + cgroup : "";
}

bool Runtime::Impl::remove_cgroup(const std::string& cgroup) const {
  std::set<std::string> directories;
  for (const auto& [controller, mount] : host.cgroups.controllers) {
    directories.insert(mount + cgroup);
  }
  if (!host.cgroups.unified.empty()) directories.insert(host.cgroups.unified + cgroup);
  bool removed = true;
  for (const auto& directory : directories) {
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) removed = false;
  }
  return removed;
}

bool Runtime::Impl::remove_ended(const std::string& directory, const std::string& cgroup,
                                 const std::string& state) const {
  if (find_monitor_in(directory) || read_exit_record(directory).lost) return false;
  // A group with a process in it, or with groups made inside the container, stays: then it's the
  // runtime's turn.
  if (!remove_cgroup(cgroup)) return false;
  std::error_code error;
  std::filesystem::remove_all(state, error);  // plain files, and nothing is ever mounted there
  return !error;
}

}  // namespace holdfast
