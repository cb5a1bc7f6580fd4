#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/driver/plugin/plugin_driver.h"

namespace holdfast {

// What a plugin has, as far as it told in time.
struct PluginListing {
  std::string driver;
  std::vector<PluginVolume> volumes;
  // Asked after the call began, so that what is missing is missing; else it is what was last heard.
  bool complete = false;
  std::string scope;
  std::string problem;  // why there is nothing newer; empty: there is none
};

// A plugin as `docker plugin ls` shows it.
struct PluginState {
  std::string name;
  std::string address;
  std::string found_at;
  std::vector<std::string> implements;  // as far as known
  bool answers = false;
  std::string problem;  // why it doesn't
};

// The volume plugins of this host: found by name when they are wanted, and kept as drivers from
// then on. Owned by DriverTable; thread-safe. Nothing here waits for one plugin longer than it
// says, and a plugin that let somebody wait in vain isn't waited for again until it has answered.
class Plugins {
 public:
  explicit Plugins(PluginOptions options);
  ~Plugins();  // interrupts what is under way

  // The driver of that name, which may be absent: calls say so then. Lives as long as we do.
  PluginDriver& driver(const std::string& name);

  // Whether a volume can be made by it, by its directories alone. kNotFound in Docker's words.
  Status known(const std::string& name) const;

  // Those that are discoverable now and are not known to be something else than a volume driver.
  std::vector<std::string> names() const;

  // What all of them have; waits PluginDeadlines::listing for all together.
  std::vector<PluginListing> list();
  // Who has the volume; waits PluginDeadlines::lookup.
  struct Found {
    std::string driver;
    PluginVolume volume;
  };
  std::optional<Found> find_volume(const VolumeName& name);
  // All that is discovered; waits PluginDeadlines::listing.
  std::vector<PluginState> states();

  // Ends calls under way and to come with kCancelled: the daemon is stopping.
  void interrupt() { surroundings_.stopping.cancel(); }
  const PluginDeadlines& deadlines() const { return surroundings_.deadlines; }
  const Cancellation& stopping() const { return surroundings_.stopping; }
  // Threads for what is done behind everybody's back.
  ThreadPool& errands() { return surroundings_.errands; }

 private:
  struct Known;
  Known& known_plugin(const std::string& name);

  const std::vector<std::string> private_roots_;
  // Before surroundings_, whose threads use them until they have ended.
  mutable std::mutex mutex_;  // guards known_
  std::map<std::string, std::unique_ptr<Known>> known_;
  PluginSurroundings surroundings_;
};

}  // namespace holdfast
