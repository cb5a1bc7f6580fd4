#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/json.h"
#include "engine/container.h"
#include "runtime/exit_monitor.h"
#include "runtime/runtime.h"

namespace holdfast {

// A container's HEALTHCHECK, with Docker's defaults filled in.
struct HealthPlan {
  std::vector<std::string> command;
  std::chrono::milliseconds interval;
  std::chrono::milliseconds timeout;
  std::chrono::milliseconds start_period;
  std::chrono::milliseconds start_interval;
  int retries = 3;

  // Nothing where the container has no check ("NONE", or none at all).
  static std::optional<HealthPlan> of(const json::Object& config);
};

// The probes of one running container: runs the command every interval, one at a time, and keeps
// what came out. Keeps itself alive while a probe is under way; all state is changed on the loop's
// thread or under its mutex.
class HealthMonitor : public std::enable_shared_from_this<HealthMonitor> {
 public:
  // What a probe needs of the engine; `run_blocking` hands work to a thread that may wait,
  // `changed` is told of each new status ("healthy", "unhealthy").
  struct Surroundings {
    EventLoop& loop;
    Runtime& runtime;
    ExitMonitor& exits;
    std::function<void(std::function<void()>)> run_blocking;
    std::function<void(const std::string& status)> changed;
  };
  HealthMonitor(ContainerId container, HealthPlan plan, Surroundings surroundings);

  void begin();
  void end();

  std::string status() const;
  json::Object to_json() const;  // State.Health of inspect

 private:
  // One probe's outcome; exit code 0 is healthy.
  struct Outcome {
    Time started;
    Time ended;
    int exit_code = 0;
    std::string output;
  };
  struct Probe;

  void schedule();
  void probe();
  void start_probe(const std::shared_ptr<Probe>& probe);
  void finish(const std::shared_ptr<Probe>& probe, int exit_code);
  void record(Outcome outcome);

  const ContainerId container_;
  const HealthPlan plan_;
  const Surroundings surroundings_;
  const Time begun_ = now();

  mutable std::mutex mutex_;  // guards what follows
  std::string status_ = "starting";
  int failing_streak_ = 0;
  std::deque<Outcome> log_;
  Subscription timer_;
  bool ended_ = false;
};

// The monitors of all running containers that have a check. Owned by the engine; any thread may
// call any method.
class HealthTable {
 public:
  void add(const ContainerId& container, std::shared_ptr<HealthMonitor> monitor);
  // Stops the probes; what was seen last stays to be looked at until the next start.
  void stop(const ContainerId& container);
  void forget(const ContainerId& container);
  std::shared_ptr<HealthMonitor> find(const ContainerId& container) const;

 private:
  mutable std::mutex mutex_;  // guards monitors_
  std::map<ContainerId, std::shared_ptr<HealthMonitor>> monitors_;
};

}  // namespace holdfast
