#include "engine/health.h"

#include <signal.h>

#include "base/random.h"
#include "runtime/attach.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kKeptOutcomes = 5;
constexpr std::size_t kKeptOutput = 4096;
constexpr int kTimedOut = -1;

milliseconds duration_or(const json::Object& check, const char* key, milliseconds fallback) {
  auto nanos = json::int_or(check, key);
  return nanos > 0 ? std::chrono::duration_cast<milliseconds>(std::chrono::nanoseconds(nanos))
                   : fallback;
}

}  // namespace

std::optional<HealthPlan> HealthPlan::of(const json::Object& config) {
  const auto& check = json::object_or_empty(config, "Healthcheck");
  auto test = json::strings_or_empty(check, "Test");
  if (test.size() < 2 || test[0] == "NONE") return std::nullopt;
  HealthPlan plan;
  if (test[0] == "CMD-SHELL") {
    auto shell = json::strings_or_empty(config, "Shell");
    plan.command = shell.empty() ? std::vector<std::string>{"/bin/sh", "-c"} : shell;
    plan.command.push_back(test[1]);
  } else {
    plan.command.assign(test.begin() + 1, test.end());
  }
  plan.interval = duration_or(check, "Interval", milliseconds(30'000));
  plan.timeout = duration_or(check, "Timeout", milliseconds(30'000));
  plan.start_period = duration_or(check, "StartPeriod", milliseconds(0));
  plan.start_interval = duration_or(check, "StartInterval", milliseconds(5'000));
  if (auto retries = json::int_or(check, "Retries"); retries > 0)
    plan.retries = static_cast<int>(retries);
  return plan;
}

// One run of the command, from its start to the later of its end and its output's. Touched on the
// loop alone once it runs.
struct HealthMonitor::Probe {
  std::string exec_id = random_hex(64);
  Time started = now();
  std::unique_ptr<AttachStream> stream;
  Subscription output;
  Subscription deadline;
  std::string text;
  pid_t pid = 0;
  bool timed_out = false;
};

HealthMonitor::HealthMonitor(ContainerId container, HealthPlan plan, Surroundings surroundings)
    : container_(std::move(container)),
      plan_(std::move(plan)),
      surroundings_(std::move(surroundings)) {}

void HealthMonitor::begin() { schedule(); }

void HealthMonitor::end() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  timer_.cancel();
}

void HealthMonitor::schedule() {
  std::lock_guard lock(mutex_);
  if (ended_) return;
  bool starting = status_ == "starting" && now() - begun_ < plan_.start_period;
  auto delay = starting ? std::min(plan_.start_interval, plan_.interval) : plan_.interval;
  timer_ = surroundings_.loop.after(delay, [self = shared_from_this()] { self->probe(); });
}

void HealthMonitor::probe() {
  surroundings_.run_blocking(
      [self = shared_from_this()] { self->start_probe(std::make_shared<Probe>()); });
}

void HealthMonitor::start_probe(const std::shared_ptr<Probe>& probe) {
  ExecSpec spec;
  spec.args = plan_.command;
  auto pending = surroundings_.runtime.prepare_exec({container_, probe->exec_id, spec, false});
  auto give_up = [&](const Error& error) {
    record({probe->started, now(), kTimedOut, error.message});
    schedule();
  };
  if (!pending) return give_up(pending.error());
  if (auto stream = AttachStream::connect(pending->directory())) {
    probe->stream = std::make_unique<AttachStream>(std::move(*stream));
  }
  auto started = pending->start();
  if (!started) return give_up(started.error());
  probe->pid = started->pid;
  auto self = shared_from_this();
  auto watched = surroundings_.exits.watch(
      started->monitor,
      [self, probe](const ExitRecord& record) { self->finish(probe, record.code); });
  if (!watched) return give_up(watched.error());
  probe->deadline = surroundings_.loop.after(plan_.timeout, [probe] {
    probe->timed_out = true;
    ::kill(probe->pid, SIGKILL);
  });
}

// On the loop's thread. What the command wrote waits in the socket: it is read to its end.
void HealthMonitor::finish(const std::shared_ptr<Probe>& probe, int exit_code) {
  probe->deadline.cancel();
  while (probe->stream) {
    auto event = probe->stream->read();
    if (!event || event->kind != AttachEvent::Kind::kData) break;
    if (probe->text.size() < kKeptOutput) probe->text.append(event->bytes);
  }
  probe->stream.reset();
  probe->text.resize(std::min(probe->text.size(), kKeptOutput));
  if (probe->timed_out) {
    auto seconds = std::chrono::duration_cast<std::chrono::milliseconds>(plan_.timeout).count();
    probe->text = fmt::format("Health check exceeded timeout ({}ms)", seconds);
    exit_code = kTimedOut;
  }
  surroundings_.run_blocking([self = shared_from_this(), probe, exit_code] {
    (void)self->surroundings_.runtime.remove_exec(
        self->container_, probe->exec_id);  // goes with the container at last
    self->record({probe->started, now(), exit_code, probe->text});
    self->schedule();
  });
}

void HealthMonitor::record(Outcome outcome) {
  std::string changed;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    bool good = outcome.exit_code == 0;
    // A failure within the start period says nothing yet.
    bool counts = good || status_ != "starting" || outcome.started - begun_ >= plan_.start_period;
    failing_streak_ = good ? 0 : failing_streak_ + (counts ? 1 : 0);
    std::string next = good ? "healthy" : failing_streak_ >= plan_.retries ? "unhealthy" : status_;
    if (next != status_) changed = next;
    status_ = next;
    log_.push_back(std::move(outcome));
    if (log_.size() > kKeptOutcomes) log_.pop_front();
  }
  if (!changed.empty()) surroundings_.changed(changed);
}

std::string HealthMonitor::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

json::Object HealthMonitor::to_json() const {
  std::lock_guard lock(mutex_);
  json::Array log;
  for (const auto& outcome : log_) {
    log.push_back(json::Object{{"Start", to_rfc3339(outcome.started)},
                               {"End", to_rfc3339(outcome.ended)},
                               {"ExitCode", outcome.exit_code},
                               {"Output", outcome.output}});
  }
  return json::Object{
      {"Status", status_}, {"FailingStreak", failing_streak_}, {"Log", std::move(log)}};
}

void HealthTable::add(const ContainerId& container, std::shared_ptr<HealthMonitor> monitor) {
  std::lock_guard lock(mutex_);
  monitors_[container] = std::move(monitor);
}

void HealthTable::stop(const ContainerId& container) {
  if (auto monitor = find(container)) monitor->end();
}

void HealthTable::forget(const ContainerId& container) {
  stop(container);
  std::lock_guard lock(mutex_);
  monitors_.erase(container);
}

std::shared_ptr<HealthMonitor> HealthTable::find(const ContainerId& container) const {
  std::lock_guard lock(mutex_);
  auto found = monitors_.find(container);
  return found == monitors_.end() ? nullptr : found->second;
}

}  // namespace holdfast
