#include "engine/container.h"

#include <array>

namespace holdfast {
namespace {

constexpr std::array kStatusNames = {
    std::pair{ContainerStatus::kCreated, "created"},
    std::pair{ContainerStatus::kRunning, "running"},
    std::pair{ContainerStatus::kPaused, "paused"},
    std::pair{ContainerStatus::kRestarting, "restarting"},
    std::pair{ContainerStatus::kExited, "exited"},
    std::pair{ContainerStatus::kRemoving, "removing"},
    std::pair{ContainerStatus::kDead, "dead"},
};

ContainerStatus status_from(std::string_view text) {
  for (const auto& [status, name] : kStatusNames) {
    if (name == text) return status;
  }
  return ContainerStatus::kExited;
}

Time time_from(const json::Object& object, std::string_view key) {
  return Time(std::chrono::nanoseconds(json::int_or(object, key)));
}

json::Object state_to_json(const ContainerState& state) {
  return json::Object{{"Status", to_string(state.status)},
                      {"ExitCode", state.exit_code},
                      {"Error", state.error},
                      {"OOMKilled", state.oom_killed},
                      {"StartedAt", state.started_at.time_since_epoch().count()},
                      {"FinishedAt", state.finished_at.time_since_epoch().count()}};
}

ContainerState state_from_json(const json::Object& object) {
  ContainerState state;
  state.status = status_from(json::string_or(object, "Status"));
  state.exit_code = static_cast<int>(json::int_or(object, "ExitCode"));
  state.error = json::string_or(object, "Error");
  state.oom_killed = json::bool_or(object, "OOMKilled");
  state.started_at = time_from(object, "StartedAt");
  state.finished_at = time_from(object, "FinishedAt");
  return state;
}

json::Value requester_json(const Requester& requester) {
  return requester ? json::Value(static_cast<std::uint64_t>(*requester)) : json::Value();
}

}  // namespace

std::string_view to_string(ContainerStatus status) {
  for (const auto& [known, name] : kStatusNames) {
    if (known == status) return name;
  }
  return "";
}

struct Container::WaiterList {
  struct Waiter {
    WaitCondition condition;
    std::function<void(WaitResult)> done;
  };
  std::mutex mutex;  // guards the rest
  std::map<std::uint64_t, Waiter> waiters;
  std::uint64_t next_id = 0;
  std::optional<WaitResult> removed;  // set once it is gone
};

Container::Container(ContainerId id, ImageId image, std::string platform, Time created,
                     ContainerData data)
    : id(std::move(id)),
      image(std::move(image)),
      platform(std::move(platform)),
      created(created),
      data_(std::move(data)),
      waiters_(std::make_shared<WaiterList>()) {}

ContainerData Container::view() const {
  std::lock_guard lock(mutex_);
  return data_;
}

ContainerState Container::state() const {
  std::lock_guard lock(mutex_);
  return data_.state;
}

std::string Container::name() const {
  std::lock_guard lock(mutex_);
  return data_.name;
}

Subscription Container::wait(WaitCondition condition, std::function<void(WaitResult)> done) {
  std::unique_lock lock(waiters_->mutex);
  if (waiters_->removed) {
    WaitResult result = *waiters_->removed;
    lock.unlock();
    done(result);
    return {};
  }
  // Registered before the state is looked at, so that an exit between the two is not missed.
  std::uint64_t id = waiters_->next_id++;
  auto shared_done = std::make_shared<std::function<void(WaitResult)>>(std::move(done));
  waiters_->waiters.emplace(id, WaiterList::Waiter{condition, [shared_done](WaitResult result) {
                                                     (*shared_done)(result);
                                                   }});
  lock.unlock();
  auto cancel = [waiters = waiters_, id] {
    std::lock_guard cancel_lock(waiters->mutex);
    waiters->waiters.erase(id);
  };
  auto now_state = state();
  if (condition == WaitCondition::kNotRunning && !now_state.running() &&
      now_state.status != ContainerStatus::kRestarting) {
    lock.lock();
    bool still_there = waiters_->waiters.erase(id) > 0;
    lock.unlock();
    if (still_there) (*shared_done)(WaitResult{now_state.exit_code, {}});
    return {};
  }
  return Subscription(cancel);
}

void Container::notify_exit(const WaitResult& result) { notify(result, false); }

void Container::notify_removed(const WaitResult& result) { notify(result, true); }

void Container::notify(const WaitResult& result, bool removed) {
  std::vector<std::function<void(WaitResult)>> due;
  {
    std::lock_guard lock(waiters_->mutex);
    if (removed) waiters_->removed = result;
    for (auto entry = waiters_->waiters.begin(); entry != waiters_->waiters.end();) {
      if (removed || entry->second.condition != WaitCondition::kRemoved) {
        due.push_back(std::move(entry->second.done));
        entry = waiters_->waiters.erase(entry);
      } else {
        ++entry;
      }
    }
  }
  for (auto& done : due) done(result);
}

std::string Container::to_record(const ContainerData& data) const {
  json::Array mounts;
  for (const auto& mount : data.mounts) mounts.push_back(holdfast::to_json(mount));
  json::Object endpoints;
  for (const auto& endpoint : data.endpoints) endpoints[endpoint.network] = endpoint.to_json();
  return json::serialize(json::Object{{"Id", id.str()},
                                      {"Image", image.str()},
                                      {"Platform", platform},
                                      {"Created", created.time_since_epoch().count()},
                                      {"Name", data.name},
                                      {"Config", data.config},
                                      {"HostConfig", data.host_config},
                                      {"Endpoints", std::move(endpoints)},
                                      {"Mounts", std::move(mounts)},
                                      {"UserRange", holdfast::to_json(data.user_range)},
                                      {"Requester", requester_json(data.requester)},
                                      {"State", state_to_json(data.state)},
                                      {"RestartCount", data.restart_count},
                                      {"ManuallyStopped", data.manually_stopped},
                                      {"StartedBefore", data.started_before}});
}

Result<ContainerPtr> Container::from_record(const std::string& key, const std::string& document) {
  auto damaged = [&](const std::string& why) {
    return fail(Code::kDataLoss, "record of container {} is damaged: {}", key, why);
  };
  auto parsed = json::parse_object(document);
  if (!parsed) return damaged(parsed.error().message);
  const auto& record = *parsed;
  if (json::string_or(record, "Id") != key || json::string_or(record, "Name").empty()) {
    return damaged("it has no id or name");
  }
  ContainerData data;
  data.name = json::string_or(record, "Name");
  data.config = json::object_or_empty(record, "Config");
  data.host_config = json::object_or_empty(record, "HostConfig");
  for (const auto& [network, settings] : json::object_or_empty(record, "Endpoints")) {
    if (!settings.is_object()) return damaged("an endpoint is no object");
    auto endpoint = Endpoint::from_json(std::string_view(network), settings.get_object());
    if (!endpoint) return damaged(endpoint.error().message);
    data.endpoints.push_back(std::move(*endpoint));
  }
  for (const auto& mount : json::array_or_empty(record, "Mounts")) {
    if (!mount.is_object()) return damaged("a mount is no object");
    data.mounts.push_back(mount_from_json(mount.get_object()));
  }
  data.user_range = user_range_from_json(record, "UserRange");
  if (const auto* uid = json::find(record, "Requester"); uid && uid->is_number())
    data.requester = static_cast<uid_t>(json::int_or(record, "Requester"));
  data.state = state_from_json(json::object_or_empty(record, "State"));
  data.restart_count = static_cast<int>(json::int_or(record, "RestartCount"));
  data.manually_stopped = json::bool_or(record, "ManuallyStopped");
  data.started_before = json::bool_or(record, "StartedBefore");
  return std::make_shared<Container>(ContainerId(key), ImageId(json::string_or(record, "Image")),
                                     json::string_or(record, "Platform"),
                                     time_from(record, "Created"), std::move(data));
}

}  // namespace holdfast
