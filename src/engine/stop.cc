#include <signal.h>

#include <condition_variable>

#include "engine/container_config.h"
#include "engine/engine_impl.h"
#include "engine/signals.h"
#include "engine/spec_builder.h"

// Requests that end, hold or change a running container.
namespace holdfast {
namespace {

constexpr int kDefaultStopTimeout = 10;
constexpr auto kKillTimeout = std::chrono::seconds(10);

tl::unexpected<Error> not_running(const Container& container) {
  return fail(Code::kConflict, "container {} is not running", container.id);
}

// Lets a thread wait for a container's end.
class ExitWaiter {
 public:
  explicit ExitWaiter(Container& container) {
    subscription_ = container.wait(WaitCondition::kNotRunning, [state = state_](WaitResult) {
      std::lock_guard lock(state->mutex);
      state->ended = true;
      state->changed.notify_all();
    });
  }

  // Without a deadline for ever.
  bool wait(std::optional<std::chrono::seconds> timeout) {
    std::unique_lock lock(state_->mutex);
    auto ended = [this] { return state_->ended; };
    if (timeout) return state_->changed.wait_for(lock, *timeout, ended);
    state_->changed.wait(lock, ended);
    return true;
  }

 private:
  struct State {
    std::mutex mutex;  // guards ended
    std::condition_variable changed;
    bool ended = false;
  };
  // Shared with the callback, which may come after this object has gone.
  std::shared_ptr<State> state_ = std::make_shared<State>();
  Subscription subscription_;
};

}  // namespace

Result<int> Engine::Impl::stop_signal(const ContainerData& data, const std::string& asked) const {
  std::string signal = asked.empty() ? json::string_or(data.config, "StopSignal") : asked;
  if (signal.empty()) return SIGTERM;
  return parse_signal(signal);
}

int Engine::Impl::stop_timeout(const ContainerData& data, std::optional<int> asked) const {
  if (asked) return *asked;
  return static_cast<int>(json::int_or(data.config, "StopTimeout", kDefaultStopTimeout));
}

Status Engine::Impl::stop_and_wait(const ContainerPtr& container, int signal,
                                   std::optional<int> timeout_seconds) {
  ExitWaiter waiter(*container);
  // A paused container can't act on a signal.
  if (container->state().status == ContainerStatus::kPaused)
    RETURN_IF_ERROR(parts.runtime.resume(container->id));
  publish(*container, "kill", {{"signal", std::to_string(signal)}});
  auto sent = parts.runtime.kill(container->id, signal);
  if (!sent && sent.error().code != Code::kNotFound) return sent;
  int seconds = stop_timeout(container->view(), timeout_seconds);
  if (waiter.wait(seconds < 0 ? std::nullopt : std::optional(std::chrono::seconds(seconds))))
    return {};
  publish(*container, "kill", {{"signal", std::to_string(SIGKILL)}});
  sent = parts.runtime.kill(container->id, SIGKILL);
  if (!sent && sent.error().code != Code::kNotFound) return sent;
  if (waiter.wait(kKillTimeout)) return {};
  return fail(Code::kDeadlineExceeded,
              "tried to kill container, but did not receive an exit event");
}

Result<Outcome> Engine::stop(const std::string& name, std::optional<int> timeout,
                             const std::string& signal) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(int number, impl.stop_signal(container->view(), signal));
  impl.cancel_restart(container->id);
  bool was_running = false;
  bool was_restarting = container->change([&](ContainerData& data) {
    was_running = data.state.running();
    bool restarting = data.state.status == ContainerStatus::kRestarting;
    if (restarting) data.state.status = ContainerStatus::kExited;
    if (was_running || restarting) data.manually_stopped = true;
    return restarting;
  });
  if (was_restarting) {
    // The restart that was due has nothing to do any more, so that this is no wait for it.
    auto guard = container->slot.acquire();
    RETURN_IF_ERROR(impl.table.save(*container));
    container->notify_exit({container->state().exit_code, {}});
  }
  if (!was_running) return was_restarting ? Outcome::kDone : Outcome::kUnchanged;
  auto stopped = impl.stop_and_wait(container, number, timeout);
  if (!stopped) {
    return tl::unexpected(
        std::move(stopped).error().wrap(fmt::format("cannot stop container: {}", name)));
  }
  impl.publish(*container, "stop");
  return Outcome::kDone;
}

Status Engine::restart(const std::string& name, std::optional<int> timeout,
                       const std::string& signal) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  // --rm must not take effect between the two halves: the container is started again under the same
  // slot that its end waits for, so it is stopped without being taken as ended by itself.
  bool auto_remove = container->change([](ContainerData& data) {
    bool set = json::bool_or(data.host_config, "AutoRemove");
    data.host_config["AutoRemove"] = false;
    return set;
  });
  auto stopped = stop(name, timeout, signal);
  container->change([&](ContainerData& data) { data.host_config["AutoRemove"] = auto_remove; });
  if (!stopped) return tl::unexpected(std::move(stopped).error());
  auto started = start(container->id.str());
  if (!started) {
    return tl::unexpected(
        std::move(started).error().wrap(fmt::format("Cannot restart container {}", name)));
  }
  impl.publish(*container, "restart");
  return {};
}

Status Engine::kill(const std::string& name, const std::string& signal) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(int number, parse_signal(signal.empty() ? "KILL" : signal));
  ASSIGN_OR_RETURN(int stop_number, impl.stop_signal(container->view(), ""));
  ExitWaiter waiter(*container);
  bool restarting = container->state().status == ContainerStatus::kRestarting;
  if (restarting) {
    auto stopped = stop(name, 0, "");
    return stopped ? Status() : tl::unexpected(stopped.error());
  }
  if (!container->state().running()) {
    return fail(Code::kConflict, "cannot kill container: {}: container {} is not running", name,
                container->id);
  }
  bool ends_it = number == SIGKILL || number == stop_number;
  if (ends_it) container->change([](ContainerData& data) { data.manually_stopped = true; });
  if (number == SIGKILL && container->state().status == ContainerStatus::kPaused) {
    RETURN_IF_ERROR(impl.parts.runtime.resume(container->id));
  }
  auto sent = impl.parts.runtime.kill(container->id, number);
  if (!sent && sent.error().code == Code::kNotFound) return not_running(*container);
  if (!sent)
    return tl::unexpected(
        std::move(sent).error().wrap(fmt::format("cannot kill container: {}", name)));
  impl.publish(*container, "kill", {{"signal", std::to_string(number)}});
  if (number == SIGKILL && !waiter.wait(kKillTimeout)) {
    return fail(Code::kDeadlineExceeded,
                "tried to kill container, but did not receive an exit event");
  }
  return {};
}

Status Engine::pause(const std::string& name) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto guard = container->slot.acquire();
  auto state = container->state();
  if (state.status == ContainerStatus::kPaused) {
    return fail(Code::kConflict, "container {} is already paused", container->id);
  }
  if (!state.running()) return not_running(*container);
  RETURN_IF_ERROR(impl.parts.runtime.pause(container->id));
  container->change([](ContainerData& data) { data.state.status = ContainerStatus::kPaused; });
  RETURN_IF_ERROR(impl.table.save(*container));
  impl.publish(*container, "pause");
  return {};
}

Status Engine::unpause(const std::string& name) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto guard = container->slot.acquire();
  if (container->state().status != ContainerStatus::kPaused) {
    return fail(Code::kConflict, "container {} is not paused", container->id);
  }
  RETURN_IF_ERROR(impl.parts.runtime.resume(container->id));
  container->change([](ContainerData& data) { data.state.status = ContainerStatus::kRunning; });
  RETURN_IF_ERROR(impl.table.save(*container));
  impl.publish(*container, "unpause");
  return {};
}

Result<std::vector<std::string>> Engine::update(const std::string& name, const json::Object& body) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto guard = container->slot.acquire();
  json::Object before = container->view().host_config;
  json::Object after = before;
  RETURN_IF_ERROR(merge_update(after, body));
  ASSIGN_OR_RETURN(auto resources, resources_of(after));
  std::string policy = json::string_or(json::object_or_empty(after, "RestartPolicy"), "Name");
  if (policy != "no" && json::bool_or(after, "AutoRemove")) {
    return fail(Code::kInvalidArgument,
                "Restart policy cannot be updated because AutoRemove is enabled for the container");
  }
  if (container->state().running())
    RETURN_IF_ERROR(impl.parts.runtime.update(container->id, resources));
  container->change([&](ContainerData& data) { data.host_config = after; });
  if (auto saved = impl.table.save(*container); !saved) {
    container->change([&](ContainerData& data) { data.host_config = before; });
    return tl::unexpected(std::move(saved).error());
  }
  impl.publish(*container, "update");
  return std::vector<std::string>{};
}

Status Engine::resize(const std::string& name, unsigned height, unsigned width) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  if (!container->state().running()) return not_running(*container);
  auto resized =
      resize_terminal(impl.parts.runtime.container_directory(container->id), height, width);
  if (!resized && resized.error().code == Code::kNotFound) return not_running(*container);
  if (resized) {
    impl.publish(*container, "resize",
                 {{"height", std::to_string(height)}, {"width", std::to_string(width)}});
  }
  return resized;
}

Result<Subscription> Engine::wait(const std::string& name, WaitCondition condition,
                                  std::function<void(WaitResult)> done) const {
  ASSIGN_OR_RETURN(auto container, impl_->table.find(name));
  return container->wait(condition, std::move(done));
}

}  // namespace holdfast
