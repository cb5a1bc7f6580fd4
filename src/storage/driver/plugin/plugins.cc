#include "storage/driver/plugin/plugins.h"

#include <algorithm>
#include <set>

#include "storage/driver/plugin/inquiry.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;

bool drives_volumes(const std::optional<std::vector<std::string>>& implements) {
  return !implements || std::count(implements->begin(), implements->end(), "VolumeDriver") != 0;
}

}  // namespace

struct Plugins::Known {
  Known(const std::string& name, PluginSurroundings& surroundings,
        const std::vector<std::string>& private_roots)
      : driver(name, surroundings, private_roots),
        volumes(surroundings.errands, [this] { return driver.list(); }),
        greetings(surroundings.errands, [this] { return driver.client().greet_anew(); }) {}

  PluginDriver driver;
  Inquiry<std::vector<PluginVolume>> volumes;
  Inquiry<std::vector<std::string>> greetings;
};

Plugins::Plugins(PluginOptions options)
    : private_roots_(std::move(options.private_roots)),
      surroundings_(std::move(options.directories), options.deadlines) {}

Plugins::~Plugins() {
  interrupt();
  surroundings_.errands.stop();
}

Plugins::Known& Plugins::known_plugin(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto& known = known_[name];
  if (!known) known = std::make_unique<Known>(name, surroundings_, private_roots_);
  return *known;
}

PluginDriver& Plugins::driver(const std::string& name) { return known_plugin(name).driver; }

Status Plugins::known(const std::string& name) const {
  auto found = surroundings_.directories.find(name);
  if (found || found.error().code != Code::kNotFound) return {};
  return tl::unexpected(
      std::move(found).error().wrap(fmt::format("error looking up volume plugin {}", name)));
}

std::vector<std::string> Plugins::names() const {
  auto names = surroundings_.directories.names();
  std::lock_guard lock(mutex_);
  std::erase_if(names, [&](const std::string& name) {
    auto known = known_.find(name);
    return known != known_.end() && !drives_volumes(known->second->driver.client().implements());
  });
  return names;
}

std::vector<PluginListing> Plugins::list() {
  auto began = Clock::now();
  std::vector<Known*> asked;
  for (const auto& name : names()) {
    asked.push_back(&known_plugin(name));
    asked.back()->volumes.begin();
  }
  std::vector<PluginListing> listings;
  for (auto* plugin : asked) {
    auto heard = plugin->volumes.await(began, began + surroundings_.deadlines.listing);
    auto& client = plugin->driver.client();
    // It turned out to be something else.
    if (!drives_volumes(client.implements())) continue;
    listings.push_back({client.name(), std::move(heard.value).value_or(std::vector<PluginVolume>()),
                        heard.fresh, client.scope(), std::move(heard.problem)});
  }
  return listings;
}

namespace {

// A question to several plugins at once; shared with the threads that ask.
struct Search {
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::set<std::string> waiting_for;
  std::map<std::string, PluginVolume> found;  // by driver
};

}  // namespace

std::optional<Plugins::Found> Plugins::find_volume(const VolumeName& name) {
  auto deadline = Clock::now() + surroundings_.deadlines.lookup;
  auto search = std::make_shared<Search>();
  std::vector<Known*> asked;
  for (const auto& plugin : names()) {
    auto& known = known_plugin(plugin);
    // What it said last has to do where it doesn't answer.
    for (const auto& volume : known.volumes.last().value_or(std::vector<PluginVolume>())) {
      bool unheard = known.volumes.in_vain() || known.driver.client().silent();
      if (unheard && volume.name == name.str()) search->found[plugin] = volume;
    }
    if (known.volumes.in_vain() || known.driver.client().silent()) continue;
    search->waiting_for.insert(plugin);
    asked.push_back(&known);
  }
  for (auto* known : asked) {
    surroundings_.errands.submit([search, known, name] {
      auto volume = known->driver.get(name);
      const auto& plugin = known->driver.client().name();
      std::lock_guard lock(search->mutex);
      search->waiting_for.erase(plugin);
      if (volume && *volume) search->found[plugin] = std::move(**volume);
      search->changed.notify_all();
    });
  }
  std::unique_lock lock(search->mutex);
  search->changed.wait_until(lock, deadline, [&] { return search->waiting_for.empty(); });
  for (auto* known : asked) {
    if (search->waiting_for.contains(known->driver.client().name())) known->volumes.give_up();
  }
  if (search->found.empty()) return std::nullopt;
  const auto& [driver, volume] = *search->found.begin();
  return Found{driver, volume};
}

std::vector<PluginState> Plugins::states() {
  auto began = Clock::now();
  std::vector<Known*> asked;
  for (const auto& name : surroundings_.directories.names()) {
    asked.push_back(&known_plugin(name));
    asked.back()->greetings.begin();
  }
  std::vector<PluginState> states;
  for (auto* plugin : asked) {
    auto heard = plugin->greetings.await(began, began + surroundings_.deadlines.listing);
    PluginState state;
    state.name = plugin->driver.client().name();
    if (auto endpoint = surroundings_.directories.find(state.name)) {
      state.address = endpoint->address;
      state.found_at = endpoint->found_at;
    }
    state.implements = std::move(heard.value).value_or(std::vector<std::string>());
    state.answers = heard.fresh;
    state.problem = std::move(heard.problem);
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace holdfast
