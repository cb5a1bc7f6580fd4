#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "engine/mounts/bind_policy.h"
#include "engine/mounts/mount_point.h"
#include "engine/operation_slot.h"
#include "engine/user_ranges.h"
#include "network/networks.h"

namespace holdfast {

// Where a container is in its life:
//
//   created ──start──▶ running ◀─unpause─ ─pause─▶ paused
//                        │  ▲
//                   exit │  │ start, or the restart policy after a delay
//                        ▼  │
//                      exited ⇄ restarting          any ──rm──▶ removing ──▶ gone (or dead, when
//                      removal failed)
enum class ContainerStatus { kCreated, kRunning, kPaused, kRestarting, kExited, kRemoving, kDead };

std::string_view to_string(ContainerStatus status);

struct ContainerState {
  ContainerStatus status = ContainerStatus::kCreated;
  int exit_code = 0;
  std::string error;  // why the last start failed
  bool oom_killed = false;
  Time started_at;
  Time finished_at;

  bool running() const {
    return status == ContainerStatus::kRunning || status == ContainerStatus::kPaused;
  }
};

enum class WaitCondition { kNotRunning, kNextExit, kRemoved };

struct WaitResult {
  int exit_code = 0;
  std::string error;
};

// What a container's record holds; copied out under the container's mutex, so that readers see one
// moment.
struct ContainerData {
  std::string name;  // without the slash
  json::Object config;
  json::Object host_config;
  std::vector<Endpoint> endpoints;  // asked for; while running, what was given
  std::vector<MountPoint> mounts;
  std::optional<UserRange> user_range;  // of a user namespace of its own
  Requester requester;                  // who made it: its binds are judged as theirs at each start
  ContainerState state;
  pid_t pid = 0;                     // of its init, as the host sees it, while running
  std::vector<PublishedPort> ports;  // while running
  int restart_count = 0;
  bool manually_stopped = false;
  bool started_before = false;
};

// One container. Owned by the ContainerTable, shared (shared_ptr) with the operations and streams
// that work on it, which may outlast its removal. Operations that change more than a field take
// `slot`; fields are read and written under the mutex by view() and change().
class Container {
 public:
  Container(ContainerId id, ImageId image, std::string platform, Time created, ContainerData data);

  const ContainerId id;
  const ImageId image;
  const std::string platform;
  const Time created;
  OperationSlot slot;

  ContainerData view() const;
  ContainerState state() const;
  std::string name() const;
  // Changes fields together; returns what `change` returns.
  template <typename Change>
  auto change(Change change) {
    std::lock_guard lock(mutex_);
    return change(data_);
  }

  // Calls `done` once, on whatever thread brings it about (at once where the condition holds
  // already): kNotRunning when it doesn't run, kNextExit at the next exit, kRemoved when it is
  // gone.
  [[nodiscard]] Subscription wait(WaitCondition condition, std::function<void(WaitResult)> done);
  // Called with no lock held.
  void notify_exit(const WaitResult& result);
  void notify_removed(const WaitResult& result);

  // The durable record, and the container it describes. kDataLoss says which record is damaged.
  std::string to_record() const { return to_record(view()); }
  // What it will be once the container's data is `data`.
  std::string to_record(const ContainerData& data) const;
  static Result<std::shared_ptr<Container>> from_record(const std::string& key,
                                                        const std::string& document);

 private:
  struct WaiterList;
  void notify(const WaitResult& result, bool removed);

  mutable std::mutex mutex_;  // guards data_
  ContainerData data_;
  std::shared_ptr<WaiterList> waiters_;  // shared with the subscriptions
};

using ContainerPtr = std::shared_ptr<Container>;

}  // namespace holdfast
