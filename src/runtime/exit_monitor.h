#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "runtime/runtime.h"

namespace holdfast {

// How a container or an exec session ended.
struct ExitRecord {
  int code = 0;  // exit code, or 128 + signal
  bool oom_killed = false;
  // The monitor was killed before it could write the exit code down: the code is 137, and the
  // container may still run without its stdio; Runtime::remove() ends it.
  bool lost = false;
  Time finished_at;
};

// Tells when containers and exec sessions end, by waiting for their monitors on an EventLoop. All
// methods may be called from any thread; callbacks run on the loop's.
class ExitMonitor {
 public:
  explicit ExitMonitor(EventLoop& loop);
  ~ExitMonitor();  // drops all watches without calling back

  // Calls `ended` once, when `monitor` has ended, or soon if it already has. Takes a container over
  // after a restart just as well as right after create().
  Status watch(const MonitorProcess& monitor, std::function<void(const ExitRecord&)> ended);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with callbacks under way on the loop
};

// What the monitor that lived in `directory` left about the end; used when it is gone.
ExitRecord read_exit_record(const std::string& directory);

}  // namespace holdfast
