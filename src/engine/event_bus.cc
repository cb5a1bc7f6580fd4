#include "engine/event_bus.h"

#include <array>

namespace holdfast {
namespace {

constexpr std::size_t kHistory = 1024;  // Docker keeps 256

constexpr std::array kFilterKeys = {"config", "container", "daemon", "event",  "image",
                                    "label",  "network",   "node",   "plugin", "scope",
                                    "secret", "service",   "type",   "volume"};

bool names_actor(const Event& event, std::string_view type, const std::string& wanted) {
  if (event.type != type) return false;
  if (event.actor_id == wanted) return true;
  if (!wanted.empty() && type == "container" && event.actor_id.starts_with(wanted)) return true;
  auto name = event.attributes.find("name");
  return name != event.attributes.end() && name->second == wanted;
}

bool matches_label(const Event& event, std::string_view wanted) {
  auto equals = wanted.find('=');
  auto found = event.attributes.find(std::string(wanted.substr(0, equals)));
  if (found == event.attributes.end()) return false;
  return equals == std::string_view::npos || found->second == wanted.substr(equals + 1);
}

bool matches_image(const Event& event, const std::string& wanted) {
  if (names_actor(event, "image", wanted)) return true;
  auto image = event.attributes.find("image");
  if (image == event.attributes.end()) return false;
  return image->second == wanted || image->second.substr(0, image->second.rfind(':')) == wanted;
}

bool matches_one(const Event& event, const std::string& key, const std::string& value) {
  if (key == "event") return event.action == value || event.action.starts_with(value + ":");
  if (key == "type") return event.type == value;
  if (key == "label") return matches_label(event, value);
  if (key == "image") return matches_image(event, value);
  if (key == "scope") return value == "local";
  return names_actor(event, key, value);
}

}  // namespace

json::Object to_json(const Event& event) {
  std::int64_t nanos = event.time.time_since_epoch().count();
  json::Object out;
  if (event.type == "container" || event.type == "image") {
    out["status"] = event.action;
    out["id"] = event.actor_id;
    auto image = event.attributes.find("image");
    if (image != event.attributes.end()) out["from"] = image->second;
  }
  out["Type"] = event.type;
  out["Action"] = event.action;
  out["Actor"] =
      json::Object{{"ID", event.actor_id}, {"Attributes", json::from_string_map(event.attributes)}};
  out["scope"] = "local";
  out["time"] = nanos / 1'000'000'000;
  out["timeNano"] = nanos;
  return out;
}

Result<EventFilter> EventFilter::parse(const std::multimap<std::string, std::string>& filters) {
  for (const auto& [key, value] : filters) {
    if (std::find(kFilterKeys.begin(), kFilterKeys.end(), key) == kFilterKeys.end()) {
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
  }
  EventFilter filter;
  filter.filters_ = filters;
  return filter;
}

bool EventFilter::matches(const Event& event) const {
  for (auto key = filters_.begin(); key != filters_.end(); key = filters_.upper_bound(key->first)) {
    auto [first, last] = filters_.equal_range(key->first);
    bool any = std::any_of(first, last, [&](const auto& entry) {
      return matches_one(event, entry.first, entry.second);
    });
    if (!any) return false;
  }
  return true;
}

void EventBus::publish(std::string type, std::string action, std::string actor_id,
                       std::map<std::string, std::string> attributes) {
  Event event{std::move(type), std::move(action), std::move(actor_id), std::move(attributes),
              now()};
  // Called under the lock so that every listener sees events in one order; listeners only queue.
  std::lock_guard lock(registry_->mutex);
  registry_->history.push_back(event);
  if (registry_->history.size() > kHistory) registry_->history.pop_front();
  for (const auto& [id, listener] : registry_->listeners) (*listener)(event);
}

Subscription EventBus::subscribe(std::optional<Time> since, Listener listener) {
  std::lock_guard lock(registry_->mutex);
  if (since) {
    for (const auto& event : registry_->history) {
      if (event.time >= *since) listener(event);
    }
  }
  std::uint64_t id = registry_->next_id++;
  registry_->listeners.emplace(id, std::make_shared<Listener>(std::move(listener)));
  return Subscription([registry = registry_, id] {
    std::lock_guard lock(registry->mutex);
    registry->listeners.erase(id);
  });
}

std::vector<Event> EventBus::between(Time since, Time until) const {
  std::lock_guard lock(registry_->mutex);
  std::vector<Event> result;
  for (const auto& event : registry_->history) {
    if (event.time >= since && event.time <= until) result.push_back(event);
  }
  return result;
}

}  // namespace holdfast
