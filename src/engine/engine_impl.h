#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/thread_pool.h"
#include "engine/attach_session.h"
#include "engine/container_folders.h"
#include "engine/container_table.h"
#include "engine/engine.h"
#include "engine/exec_table.h"
#include "engine/health.h"
#include "engine/inspect.h"
#include "engine/mounts/mount_executor.h"
#include "engine/secrets/secrets.h"
#include "network/networks.h"
#include "runtime/exit_monitor.h"
#include "runtime/runtime.h"
#include "state/store.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// What the engine's source files share; internal to src/engine. The methods are those that more
// than one file needs.
struct Engine::Impl {
  Impl(EngineOptions options, EngineParts parts, UserRanges ranges);

  EngineOptions options;
  EngineParts parts;
  ContainerFolders folders;
  ContainerTable table;
  EventBus events;
  ExitMonitor exits;
  MountExecutor mounts;
  UserRanges user_ranges;
  ExecTable execs;
  HealthTable health;
  std::unique_ptr<Secrets> secrets;  // set by open()

  std::atomic<bool> stopping = false;
  std::mutex restart_mutex;  // guards restart_timers
  std::map<ContainerId, Subscription> restart_timers;
  std::mutex attach_mutex;  // guards waiting_attaches
  // Clients that attached before the container's start, in the order they came.
  std::map<ContainerId, std::vector<std::shared_ptr<AttachSession>>> waiting_attaches;
  std::mutex work_mutex;  // guards work_under_way
  std::condition_variable work_changed;
  std::size_t work_under_way = 0;  // exits being handled and removals in the background

  // Runs `work` on the pool; stop() waits for it.
  void in_background(std::function<void()> work);

  // A container that ended while no daemon watched. Its state says so from the start; a start of it
  // waits for its slot, until what it ran on is taken down.
  struct UnwatchedEnd {
    ContainerPtr container;
    OperationSlot::Guard slot;
    ExitRecord record;
    bool restart;
  };
  // Found by open(), dealt with by start_background(); and what the runtime still has of containers
  // that don't run.
  std::vector<UnwatchedEnd> ended_unwatched;
  std::vector<ContainerId> leftovers;
  std::vector<Record> intents_put_off;  // of VolumeIntent

  // engine.cc: removes folders of containers that are not there.
  void discard_orphans();

  // container_events.cc: publishes "type=container" with name, image and labels, and `more`.
  void publish(const Container& container, const std::string& action,
               std::map<std::string, std::string> more = {});
  void publish_network(const Endpoint& endpoint, const ContainerId& container,
                       const std::string& action);
  void publish_volume(const std::string& action, const VolumeName& name,
                      std::map<std::string, std::string> more);

  // start.cc. The slot is held by the caller. After failure the container is as it was before, but
  // for State.Error.
  Status launch(const ContainerPtr& container);
  Status launch_or_note_failure(const ContainerPtr& container);
  void end_waiting_attaches(const ContainerId& id);

  // Starts the probes of a container that has a health check; for one that has just started or been
  // taken over.
  void begin_health_checks(const ContainerPtr& container);

  // exit.cc
  Status watch_exit(const ContainerPtr& container, const MonitorProcess& monitor);
  void handle_exit(const ContainerPtr& container, const ExitRecord& record);
  // What handle_exit() does, in two steps; the container's slot is held over both. The first is
  // what everybody sees of it, and says whether the restart policy wants it back.
  bool note_exit(Container& container, const ExitRecord& record);
  void after_exit(const ContainerPtr& container, const ExitRecord& record, bool restart);
  void schedule_restart(const ContainerPtr& container);
  void cancel_restart(const ContainerId& id);
  // Takes down what a container had while it ran, but for its network and mounts.
  void clean_up_after(const ContainerPtr& container);
  void release_mounts(const Container& container);
  void take_network_down(const ContainerId& id);

  // stop.cc. The container is running; returns when it has ended, or after failure.
  Status stop_and_wait(const ContainerPtr& container, int signal,
                       std::optional<int> timeout_seconds);
  // The signal and the seconds of stop: as asked, else the container's own, else SIGTERM and 10.
  Result<int> stop_signal(const ContainerData& data, const std::string& asked) const;
  int stop_timeout(const ContainerData& data, std::optional<int> asked) const;

  // remove.cc. `guard` is of the container's slot, held before and after, but not while its end is
  // waited for.
  Status kill_for_good(const ContainerPtr& container, OperationSlot::Guard& guard);
  // The slot is held, the container doesn't run.
  Status erase(const ContainerPtr& container, bool anonymous_volumes);

  ContainerFiles files_of(const ContainerId& id) const;
  VolumeMountpoint volume_mountpoints() const;
  std::vector<image::User> users_of(const ImageId& id) const;
  HolderId holder_of(const ContainerId& id) const { return HolderId(id.str()); }
};

}  // namespace holdfast
