#include <signal.h>

#include "base/log.h"
#include "engine/container_filter.h"
#include "engine/engine_impl.h"
#include "engine/volume_intent.h"

namespace holdfast {

// The record goes first: a container whose folder outlives it is swept at the next start, one whose
// record outlives its folder would be a lie.
Status Engine::Impl::erase(const ContainerPtr& container, bool anonymous_volumes) {
  ContainerData data = container->view();
  container->change(
      [](ContainerData& changed) { changed.state.status = ContainerStatus::kRemoving; });
  VolumeIntent intent(container->id);
  std::vector<std::string> going;
  for (const auto& mount : data.mounts) {
    if (anonymous_volumes && mount.type == MountType::kVolume && mount.anonymous)
      going.push_back(mount.source);
  }
  Batch together;
  if (!going.empty()) intent.declare(together, going);
  if (auto removed = table.remove(container, std::move(together)); !removed) {
    container->change([&](ContainerData& changed) { changed.state.status = data.state.status; });
    return removed;
  }
  for (const auto& mount : data.mounts) {
    if (mount.type == MountType::kVolume)
      parts.volumes.release(VolumeName(mount.source), holder_of(container->id));
  }
  secrets->release(holder_of(container->id));
  for (const auto& text : going) {
    VolumeName name(text);
    auto volume = parts.volumes.get(name);
    // Named ones never: what counts is what the volume says of itself.
    if (!volume || !(*volume)->anonymous() || !parts.volumes.holders(name).empty()) continue;
    if (auto removed = parts.volumes.remove(name); removed) {
      publish_volume("destroy", name, {{"driver", (*volume)->driver}});
    } else {
      log::warn("container {}: remove volume {}: {}", container->id, name, removed.error().message);
    }
  }
  if (!going.empty()) {
    Batch done;
    intent.end(done);
    // Left behind, it makes the next start look at volumes that are gone.
    if (auto ended = parts.store.commit(std::move(done)); !ended)
      log::warn("{}", ended.error().message);
  }
  user_ranges.give_back(container->id);
  execs.forget(container->id);
  health.forget(container->id);
  if (auto discarded = folders.discard(container->id); !discarded) {
    log::warn("container {}: {}", container->id, discarded.error().message);
  }
  in_background([this] { folders.sweep(); });
  publish(*container, "destroy");
  container->notify_removed({data.state.exit_code, {}});
  return {};
}

// Ends the container by SIGKILL, and what its restart policy may have begun meanwhile.
Status Engine::Impl::kill_for_good(const ContainerPtr& container, OperationSlot::Guard& guard) {
  while (true) {
    cancel_restart(container->id);
    bool running = container->change([](ContainerData& data) {
      if (data.state.status == ContainerStatus::kRestarting)
        data.state.status = ContainerStatus::kExited;
      data.manually_stopped = true;
      return data.state.running();
    });
    if (!running) return {};
    guard.release();
    auto killed = stop_and_wait(container, SIGKILL, 10);
    guard = container->slot.acquire();
    if (!killed && container->state().running()) {
      return tl::unexpected(std::move(killed).error().wrap(
          fmt::format("cannot remove container \"/{}\": could not kill", container->name())));
    }
  }
}

Status Engine::remove(const std::string& name, const RemoveOptions& options) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto refused = [&](std::string_view why) {
    return fail(Code::kConflict, "cannot remove container \"/{}\": {}", container->name(), why);
  };
  auto state = container->state();
  if (state.status == ContainerStatus::kPaused && !options.force) {
    return refused("container is paused and must be unpaused first");
  }
  if (state.running() && !options.force) {
    return refused("container is running: stop the container before removing or force remove");
  }
  if (state.status == ContainerStatus::kRestarting && !options.force) {
    return refused("container is restarting: stop the container before removing or force remove");
  }
  auto guard = container->slot.acquire();
  if (options.force) RETURN_IF_ERROR(impl.kill_for_good(container, guard));
  state = container->state();
  if (state.status == ContainerStatus::kRemoving) {
    // Its own --rm, or another client, was faster: what was asked for is the case.
    if (!impl.table.find(container->id.str())) return {};
    return fail(Code::kConflict, "removal of container {} is already in progress",
                container->name());
  }
  if (state.running())
    return refused("container is running: stop the container before removing or force remove");
  return impl.erase(container, options.volumes);
}

Result<json::Object> Engine::prune_containers(const FilterMap& filters) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto filter, PruneFilter::parse(filters));
  json::Array deleted;
  for (const auto& container : impl.table.all()) {
    ContainerData data = container->view();
    bool stopped = data.state.status == ContainerStatus::kExited ||
                   data.state.status == ContainerStatus::kCreated ||
                   data.state.status == ContainerStatus::kDead;
    if (!stopped ||
        !filter.matches(container->created, json::object_or_empty(data.config, "Labels")))
      continue;
    if (remove(container->id.str(), {})) deleted.push_back(json::Value(container->id.str()));
  }
  events().publish("container", "prune", "", {{"reclaimed", "0"}});
  return json::Object{{"ContainersDeleted", std::move(deleted)}, {"SpaceReclaimed", 0}};
}

}  // namespace holdfast
