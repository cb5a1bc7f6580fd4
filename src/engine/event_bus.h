#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/json.h"

namespace holdfast {

// Something that happened, in the words of Docker's GET /events.
struct Event {
  std::string type;    // container, image, volume, network, daemon
  std::string action;  // create, start, die, mount, …
  std::string actor_id;
  std::map<std::string, std::string> attributes;
  Time time;
};

// The event as one line of GET /events: today's fields and the ones older clients read.
json::Object to_json(const Event& event);

// Which events somebody wants: Docker's filters. Values of one key are alternatives, keys must all
// match; a label value is "name" or "name=value".
class EventFilter {
 public:
  // kInvalidArgument for a key Docker doesn't know.
  static Result<EventFilter> parse(const std::multimap<std::string, std::string>& filters);
  bool matches(const Event& event) const;

 private:
  std::multimap<std::string, std::string> filters_;
};

// Hands events to whoever listens and remembers the last ones for since=. Owned by the engine; all
// methods may be called from any thread. Listeners are called on the publisher's thread and must
// only queue.
class EventBus {
 public:
  using Listener = std::function<void(const Event&)>;

  void publish(std::string type, std::string action, std::string actor_id,
               std::map<std::string, std::string> attributes);

  // Calls `listener` for the remembered events from `since` on, then for all that follow.
  [[nodiscard]] Subscription subscribe(std::optional<Time> since, Listener listener);

  // The remembered events in [since, until].
  std::vector<Event> between(Time since, Time until) const;

 private:
  struct Registry {
    std::mutex mutex;  // guards the rest
    std::uint64_t next_id = 0;
    std::map<std::uint64_t, std::shared_ptr<Listener>> listeners;
    std::deque<Event> history;
  };
  // Shared with the subscriptions, which may end after the bus.
  std::shared_ptr<Registry> registry_ = std::make_shared<Registry>();
};

}  // namespace holdfast
