#include <algorithm>

#include "base/log.h"
#include "engine/engine_impl.h"

// What happens when a container ends by itself or by a signal: state, events, those who wait, its
// restart policy, and the taking down of what it ran on.
namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr auto kRestartDelay = milliseconds(100);
constexpr auto kMaxRestartDelay = milliseconds(60'000);
// A container that ran this long starts again with the shortest delay.
constexpr auto kStableRun = std::chrono::seconds(10);

bool should_restart(const ContainerData& data) {
  const auto& policy = json::object_or_empty(data.host_config, "RestartPolicy");
  std::string name = json::string_or(policy, "Name");
  if (data.manually_stopped) return false;
  if (name == "always" || name == "unless-stopped") return true;
  if (name != "on-failure" || data.state.exit_code == 0) return false;
  auto limit = json::int_or(policy, "MaximumRetryCount");
  return limit == 0 || data.restart_count < limit;
}

milliseconds restart_delay(const ContainerData& data) {
  if (data.state.finished_at - data.state.started_at >= kStableRun) return kRestartDelay;
  return std::min<milliseconds>(kRestartDelay * (1 << std::min(data.restart_count, 10)),
                                kMaxRestartDelay);
}

// An endpoint without what it was given while the container ran.
Endpoint as_asked_for(const Endpoint& endpoint) {
  Endpoint asked;
  asked.network = endpoint.network;
  asked.aliases = endpoint.aliases;
  asked.links = endpoint.links;
  asked.driver_options = endpoint.driver_options;
  asked.requested_ipv4 = endpoint.requested_ipv4;
  asked.requested_ipv6 = endpoint.requested_ipv6;
  asked.requested_mac = endpoint.requested_mac;
  asked.gateway_priority = endpoint.gateway_priority;
  return asked;
}

}  // namespace

Status Engine::Impl::watch_exit(const ContainerPtr& container, const MonitorProcess& monitor) {
  return exits.watch(monitor, [this, container](const ExitRecord& record) {
    in_background([this, container, record] { handle_exit(container, record); });
  });
}

void Engine::Impl::handle_exit(const ContainerPtr& container, const ExitRecord& record) {
  auto guard = container->slot.acquire();
  // A start that failed after the monitor was there has taken everything down already.
  if (!container->state().running()) return;
  health.stop(container->id);
  bool restart = note_exit(*container, record);
  after_exit(container, record, restart);
}

bool Engine::Impl::note_exit(Container& container, const ExitRecord& record) {
  return container.change([&](ContainerData& data) {
    data.state.status = ContainerStatus::kExited;
    data.state.exit_code = record.code;
    data.state.oom_killed = record.oom_killed;
    data.state.finished_at = record.finished_at == Time{} ? now() : record.finished_at;
    data.pid = 0;
    data.ports.clear();
    bool restart = !stopping && should_restart(data);
    if (restart) data.state.status = ContainerStatus::kRestarting;
    return restart;
  });
}

void Engine::Impl::after_exit(const ContainerPtr& container, const ExitRecord& record,
                              bool restart) {
  ContainerData data = container->view();
  if (record.oom_killed) publish(*container, "oom");
  auto ran = std::chrono::duration_cast<std::chrono::seconds>(data.state.finished_at -
                                                              data.state.started_at);
  publish(*container, "die",
          {{"exitCode", std::to_string(record.code)},
           {"execDuration", std::to_string(std::max<std::int64_t>(0, ran.count()))}});
  bool auto_remove = json::bool_or(data.host_config, "AutoRemove");
  // Whoever waits for the end must find volumes, names and ports free: those go first, the slow
  // rest after.
  WaitResult result{record.code, {}};
  take_network_down(container->id);
  release_mounts(*container);
  if (auto_remove && !restart) {
    if (auto erased = erase(container, true); !erased) {
      log::error("container {}: remove after exit: {}", container->id, erased.error().message);
      container->notify_exit(result);
    }
    clean_up_after(container);
    return;
  }
  if (auto saved = table.save(*container); !saved)
    log::error("container {}: {}", container->id, saved.error().message);
  clean_up_after(container);
  container->notify_exit(result);
  if (restart) schedule_restart(container);
}

void Engine::Impl::clean_up_after(const ContainerPtr& container) {
  const auto& id = container->id;
  if (auto removed = parts.runtime.remove(id); !removed)
    log::warn("container {}: {}", id, removed.error().message);
  for (const auto& endpoint : container->view().endpoints) {
    if (!endpoint.endpoint_id.empty()) publish_network(endpoint, id, "disconnect");
  }
  container->change([](ContainerData& changed) {
    for (auto& endpoint : changed.endpoints) endpoint = as_asked_for(endpoint);
  });
}

void Engine::Impl::release_mounts(const Container& container) {
  const auto& id = container.id;
  ContainerData data = container.view();
  bool overlays = std::any_of(data.mounts.begin(), data.mounts.end(),
                              [](const MountPoint& mount) { return mount.overlay.has_value(); });
  if (overlays) {
    if (auto removed = folders.remove_overlays(id); !removed)
      log::warn("container {}: {}", id, removed.error().message);
  }
  for (const auto& mount : data.mounts) {
    if (mount.type != MountType::kVolume) continue;
    VolumeName volume(mount.source);
    if (auto unmounted = parts.volumes.unmount(volume, holder_of(id)); !unmounted) {
      log::warn("container {}: volume {}: {}", id, volume, unmounted.error().message);
    }
    publish_volume("unmount", volume, {{"container", id.str()}, {"driver", mount.driver}});
  }
}

// Gone for everybody at once; the kernel takes tens of milliseconds to remove the interfaces, which
// nobody waits for. The container may be started again meanwhile.
void Engine::Impl::take_network_down(const ContainerId& id) {
  parts.networks.leave(id);
  in_background([this, id] {
    if (auto down = parts.networks.clear(id); !down)
      log::warn("container {}: {}", id, down.error().message);
  });
}

void Engine::Impl::schedule_restart(const ContainerPtr& container) {
  ContainerData data = container->view();
  container->change([](ContainerData& changed) { ++changed.restart_count; });
  auto timer = parts.loop.after(restart_delay(data), [this, container] {
    in_background([this, container] {
      auto guard = container->slot.acquire();
      if (stopping || container->state().status != ContainerStatus::kRestarting) return;
      {
        std::lock_guard lock(restart_mutex);
        restart_timers.erase(container->id);
      }
      auto launched = launch(container);
      if (launched) return;
      log::warn("container {}: restart: {}", container->id, launched.error().message);
      container->change([&](ContainerData& changed) {
        changed.state.error = launched.error().message;
        changed.state.exit_code = start_failure_exit_code(launched.error());
        if (!should_restart(changed)) changed.state.status = ContainerStatus::kExited;
      });
      if (container->state().status == ContainerStatus::kRestarting) schedule_restart(container);
    });
  });
  std::lock_guard lock(restart_mutex);
  restart_timers[container->id] = std::move(timer);
}

void Engine::Impl::cancel_restart(const ContainerId& id) {
  std::lock_guard lock(restart_mutex);
  restart_timers.erase(id);
}

}  // namespace holdfast
