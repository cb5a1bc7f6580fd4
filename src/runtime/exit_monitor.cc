#include "runtime/exit_monitor.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

#include "base/file.h"
#include "base/process.h"

namespace holdfast {

struct ExitMonitor::State {
  explicit State(EventLoop& event_loop) : loop(event_loop) {}

  EventLoop& loop;
  std::mutex mutex;  // guards what follows
  bool closed = false;
  std::uint64_t next = 0;
  std::map<std::uint64_t, Subscription> watches;

  // Whether the watch was still wanted.
  bool finish(std::uint64_t number) {
    Subscription ended;
    std::lock_guard lock(mutex);
    if (closed) return false;
    if (auto found = watches.find(number); found != watches.end()) {
      // The callback that is running ends it by what it returns.
      found->second.release();
      watches.erase(found);
    }
    return true;
  }
};

namespace {

// Name and time of the one file that the monitor leaves in its exit directory; false if there is
// none.
bool find_exit_file(const std::string& directory, std::string& path, Time& written) {
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir((directory + "/exit").c_str()), ::closedir);
  if (!stream) return false;
  while (const struct dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    // Its name is the container's id; a dot or more is in it while it is being written.
    if (name.find('.') != std::string_view::npos) continue;
    path = fmt::format("{}/exit/{}", directory, name);
    struct stat status = {};
    if (::stat(path.c_str(), &status) != 0) continue;
    written = Time(std::chrono::seconds(status.st_mtim.tv_sec) +
                   std::chrono::nanoseconds(status.st_mtim.tv_nsec));
    return true;
  }
  return false;
}

// One of ours becomes a zombie until it is reaped; for one taken over this fails, as it should.
void reap(BorrowedFd pidfd) {
  siginfo_t info = {};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info,
           WEXITED | WNOHANG);
}

}  // namespace

ExitRecord read_exit_record(const std::string& directory) {
  ExitRecord record;
  record.oom_killed = file_exists(directory + "/oom");
  std::string path;
  if (!find_exit_file(directory, path, record.finished_at)) {
    record.code = 137;
    record.lost = true;
    record.finished_at = now();
    return record;
  }
  record.code = std::atoi(read_file(path).value_or("").c_str());
  return record;
}

ExitMonitor::ExitMonitor(EventLoop& loop) : state_(std::make_shared<State>(loop)) {}

ExitMonitor::~ExitMonitor() {
  std::map<std::uint64_t, Subscription> watches;
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
  watches.swap(state_->watches);
}

Status ExitMonitor::watch(const MonitorProcess& monitor,
                          std::function<void(const ExitRecord&)> ended) {
  auto state = state_;
  auto directory = monitor.directory;
  std::uint64_t number;
  {
    std::lock_guard lock(state->mutex);
    number = state->next++;
  }
  auto pidfd = open_process(monitor.pid, monitor.start_time);
  if (!pidfd) {
    state->loop.post([state, directory, number, ended = std::move(ended)] {
      if (state->finish(number)) ended(read_exit_record(directory));
    });
    return {};
  }
  auto shared_pidfd =
      std::make_shared<UniqueFd>(std::move(*pidfd));  // shared by copies of the task
  // Held until the watch is in the map: the process may end first.
  std::lock_guard lock(state->mutex);
  ASSIGN_OR_RETURN(auto subscription,
                   state->loop.watch(*shared_pidfd, [state, directory, number, shared_pidfd,
                                                     ended = std::move(ended)] {
                     reap(*shared_pidfd);
                     if (state->finish(number)) ended(read_exit_record(directory));
                     return false;
                   }));
  state->watches.emplace(number, std::move(subscription));
  return {};
}

}  // namespace holdfast
