#include "engine/engine.h"

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "engine/engine_impl.h"
#include "engine/mounts/bind_fill.h"
#include "engine/secrets/secret_reference.h"
#include "engine/volume_intent.h"

// Opening the engine: what the last daemon left is found out and put right before anything is
// served.
//
//   record says          the runtime has             then
//   running or paused    its monitor, alive          it is taken over
//                        its monitor, ended          it has exited: its exit file says how
//                        nothing (reboot)            it has exited, 255
//   anything else        a container                 a start that was never acknowledged: removed
//   no record            a container, a folder       a create or a removal that was cut short:
//   removed
namespace holdfast {
namespace {

constexpr int kLostExitCode = 255;

// The daemon's own id, made once.
Status ensure_engine_id(const std::string& data_root) {
  std::string path = data_root + "/engine-id";
  if (file_exists(path)) return {};
  std::string hex = random_hex(32);
  std::string id = fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4),
                               hex.substr(12, 4), hex.substr(16, 4), hex.substr(20));
  return write_file_atomic(path, id, 0600, true);
}

// Taking over what the records say, one container at a time.
class Recovery {
 public:
  explicit Recovery(Engine::Impl& impl) : impl_(impl) {}

  Status run() {
    ASSIGN_OR_RETURN(auto damaged, impl_.table.load());
    for (const auto& message : damaged) log::error("{}", message);
    damaged_records_ = !damaged.empty();
    for (const auto& container : impl_.table.all()) {
      hold_volumes(*container);
      if (auto range = container->view().user_range)
        impl_.user_ranges.restore(container->id, *range);
      hold_secrets(*container);
    }
    // With a damaged record it isn't known who holds what: nothing may be removed then.
    if (!damaged_records_) {
      impl_.parts.volumes.holders_restored();
      impl_.secrets->holders_restored();
    }
    for (const auto& container : impl_.table.all()) take_over(container);
    if (!damaged_records_) {
      ASSIGN_OR_RETURN(impl_.intents_put_off,
                       VolumeIntent::finish_all(impl_.parts.store, impl_.parts.volumes));
    }
    RETURN_IF_ERROR(BindFill::finish_all(impl_.parts.store));
    RETURN_IF_ERROR(impl_.parts.networks.restore(live_));
    return {};
  }

  // What ended while no daemon watched; handled once the engine serves.
  std::vector<Engine::Impl::UnwatchedEnd> take_ended() { return std::move(ended_); }
  std::vector<ContainerId> leftovers() {
    std::vector<ContainerId> ids;
    auto known = impl_.parts.runtime.list();
    if (!known) return ids;
    for (auto& id : *known) {
      bool ended = std::any_of(ended_.begin(), ended_.end(),
                               [&](const auto& end) { return end.container->id == id; });
      if (!live_.contains(id) && !ended) ids.push_back(id);
    }
    return ids;
  }

 private:
  void hold_volumes(const Container& container) {
    for (const auto& mount : container.view().mounts) {
      if (mount.type != MountType::kVolume) continue;
      if (auto held =
              impl_.parts.volumes.hold(VolumeName(mount.source), impl_.holder_of(container.id));
          !held) {
        log::warn("container {}: {}", container.id, held.error().message);
      }
    }
  }

  void hold_secrets(const Container& container) {
    for (const auto& reference : secret_references_from(container.view().host_config)) {
      if (auto held = impl_.secrets->hold(reference.id, impl_.holder_of(container.id)); !held)
        log::warn("container {}: {}", container.id, held.error().message);
    }
  }

  void take_over(const ContainerPtr& container) {
    ContainerData data = container->view();
    if (!data.state.running()) {
      if (data.state.status == ContainerStatus::kRestarting ||
          data.state.status == ContainerStatus::kRemoving) {
        container->change(
            [](ContainerData& changed) { changed.state.status = ContainerStatus::kExited; });
      }
      return;
    }
    std::string directory = impl_.parts.runtime.container_directory(container->id);
    auto monitor = impl_.parts.runtime.find_monitor(directory);
    auto pid = impl_.parts.runtime.find_process(container->id);
    if (monitor && impl_.watch_exit(container, *monitor)) {
      live_.insert(container->id);
      auto attachment = impl_.parts.networks.attachment(container->id);
      container->change([&](ContainerData& changed) {
        changed.pid = pid ? *pid : 0;
        if (!attachment) return;
        changed.endpoints = attachment->endpoints;
        changed.ports = attachment->ports;
      });
      remount_volumes(*container, [](const MountPoint&) { return true; });
      impl_.begin_health_checks(container);
      return;
    }
    // Its end, which is dealt with later, unmounts them; plugins hear of it by themselves.
    remount_volumes(*container, [](const MountPoint& mount) { return mount.driver == "local"; });
    ExitRecord record;
    if (file_exists(directory)) {
      record = read_exit_record(directory);
    } else {
      record.code = kLostExitCode;
      record.finished_at = now();
    }
    auto slot = container->slot.acquire();
    bool restart = impl_.note_exit(*container, record);
    ended_.push_back({container, std::move(slot), std::move(record), restart});
  }

  // The volumes of a container that has run till now are mounted: told to Volumes again, so that
  // the last one to leave unmounts.
  template <typename Wanted>
  void remount_volumes(const Container& container, Wanted wanted) {
    for (const auto& mount : container.view().mounts) {
      if (mount.type != MountType::kVolume || !wanted(mount)) continue;
      auto mounted =
          impl_.parts.volumes.remount(VolumeName(mount.source), impl_.holder_of(container.id));
      if (!mounted) log::warn("container {}: {}", container.id, mounted.error().message);
    }
  }

  Engine::Impl& impl_;
  std::set<ContainerId> live_;
  std::vector<Engine::Impl::UnwatchedEnd> ended_;
  bool damaged_records_ = false;
};

// Containers whose restart policy brings them back with the daemon.
bool starts_with_daemon(const ContainerData& data) {
  std::string policy =
      json::string_or(json::object_or_empty(data.host_config, "RestartPolicy"), "Name");
  if (!data.started_before || data.state.running()) return false;
  return policy == "always" || (policy == "unless-stopped" && !data.manually_stopped);
}

bool uses_plugin(const ContainerData& data) {
  return std::any_of(data.mounts.begin(), data.mounts.end(), [](const MountPoint& mount) {
    return mount.type == MountType::kVolume && mount.driver != "local";
  });
}

void start_again(Engine::Impl& impl, const ContainerPtr& container) {
  auto guard = container->slot.acquire();
  if (impl.stopping || container->state().running()) return;
  if (auto started = impl.launch_or_note_failure(container); !started)
    log::warn("container {}: restart: {}", container->id, started.error().message);
}

}  // namespace

Engine::Impl::Impl(EngineOptions given_options, EngineParts given_parts, UserRanges ranges)
    : options(std::move(given_options)),
      parts(given_parts),
      folders(options.data_root),
      table(parts.store),
      exits(parts.loop),
      mounts(parts.volumes, parts.images, folders, options.bind_policy),
      user_ranges(std::move(ranges)) {}

void Engine::Impl::in_background(std::function<void()> work) {
  {
    std::lock_guard lock(work_mutex);
    ++work_under_way;
  }
  parts.pool.submit([this, work = std::move(work)] {
    work();
    std::lock_guard lock(work_mutex);
    --work_under_way;
    work_changed.notify_all();
  });
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() { stop(); }

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, EngineParts parts) {
  ASSIGN_OR_RETURN(auto ranges, UserRanges::open(options.subordinate_user));
  auto impl = std::make_unique<Impl>(std::move(options), parts, std::move(ranges));
  RETURN_IF_ERROR(ensure_engine_id(impl->options.data_root));
  RETURN_IF_ERROR(impl->folders.prepare());
  ASSIGN_OR_RETURN(impl->secrets, Secrets::open(impl->options.secrets_key_file, impl->parts.store));
  for (const auto& warning : impl->secrets->warnings()) log::warn("{}", warning);
  impl->parts.images.on_event([impl = impl.get()](const image::Event& event) {
    impl->events.publish("image", event.action, event.id, event.attributes);
  });
  Recovery recovery(*impl);
  RETURN_IF_ERROR(recovery.run());
  impl->leftovers = recovery.leftovers();
  impl->ended_unwatched = recovery.take_ended();
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

void Engine::start_background() {
  auto& impl = *impl_;
  impl.parts.volumes.start_background();
  for (auto& record : std::exchange(impl.intents_put_off, {})) {
    impl.in_background([&impl, record = std::move(record)] {
      auto done = VolumeIntent::finish(record, impl.parts.store, impl.parts.volumes);
      if (!done) log::warn("{}", done.error().message);
    });
  }
  impl.in_background([&impl] {
    for (auto& end : std::exchange(impl.ended_unwatched, {})) {
      impl.after_exit(end.container, end.record, end.restart);
      end.slot.release();
    }
    for (const auto& id : std::exchange(impl.leftovers, {})) {
      // A container whose start is under way by now isn't a leftover any more.
      auto container = impl.table.find(id.str());
      if (container && (*container)->state().running()) continue;
      if (auto removed = impl.parts.runtime.remove(id); !removed)
        log::warn("container {}: {}", id, removed.error().message);
    }
    impl.discard_orphans();
    impl.parts.networks.sweep();
    for (const auto& container : impl.table.all()) {
      ContainerData data = container->view();
      if (!starts_with_daemon(data)) continue;
      // A plugin that doesn't answer holds up the containers with volumes of its own only.
      if (uses_plugin(data))
        impl.in_background([&impl, container] { start_again(impl, container); });
      else
        start_again(impl, container);
    }
  });
}

void Engine::Impl::discard_orphans() {
  auto ids = folders.ids();
  if (!ids) return;
  for (const auto& id : *ids) {
    // A folder is made before its record: one without a record may be that of a container just
    // being created.
    auto container = table.find(id.str());
    if (!container && !table.is_reserved(id)) (void)folders.discard(id);
  }
  folders.sweep();
}

void Engine::stop() {
  auto& impl = *impl_;
  impl.stopping = true;
  {
    std::lock_guard lock(impl.restart_mutex);
    impl.restart_timers.clear();
  }
  std::unique_lock lock(impl.work_mutex);
  impl.work_changed.wait(lock, [&] { return impl.work_under_way == 0; });
}

}  // namespace holdfast
