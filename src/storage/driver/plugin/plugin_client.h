#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/error.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "storage/driver/plugin/plugin_connection.h"
#include "storage/driver/plugin/plugin_directories.h"
#include "storage/driver/plugin/plugin_options.h"

namespace holdfast {

// What all plugins share: where they are looked for, how long they are waited for, the threads that
// wait for them. Owned by Plugins; outlives every PluginClient.
struct PluginSurroundings {
  PluginSurroundings(std::vector<std::string> paths, const PluginDeadlines& limits)
      : directories(std::move(paths)), deadlines(limits) {}

  const PluginDirectories directories;
  const PluginDeadlines deadlines;
  Cancellation stopping;   // ends every call
  ThreadPool errands{64};  // what is asked of plugins while nobody waits, or not for long
};

// One plugin, spoken to by name. It is looked up at each call, and greeted (Plugin.Activate) when
// it is new or has been made anew. One that has let a call miss its deadline isn't waited for again
// until it has answered once: it is asked in the background, and calls fail at once meanwhile.
// Thread-safe.
class PluginClient {
 public:
  enum class Pace { kQuick, kSlow };

  PluginClient(std::string name, PluginSurroundings& surroundings)
      : name_(std::move(name)), surroundings_(surroundings) {}

  const std::string& name() const { return name_; }

  // Finds and greets it, if need be: what it implements. Errors of a plugin that is no volume
  // driver, absent, or silent have Docker's words: `error looking up volume plugin x: …`.
  Result<std::vector<std::string>> greet();
  // Greets it even if it has been, which tells whether it is there: what it implements, be that a
  // volume driver or not.
  Result<std::vector<std::string>> greet_anew();

  // Calls VolumeDriver.`verb`. What the plugin reports as Err is an error of its own words, with
  // kInternal; other codes tell what it may have done, as ask_plugin() has them.
  Result<json::Object> call(std::string_view verb, const json::Object& arguments, Pace pace);

  // "local" or "global", as its Capabilities said; "local" as long as that isn't known.
  std::string scope() const;
  // Implements of its last greeting; nullopt before one.
  std::optional<std::vector<std::string>> implements() const;

  // Whether it has missed a deadline and not answered since.
  bool silent() const;

 private:
  struct Greeting {
    std::string identity;  // of the endpoint it came from
    std::vector<std::string> implements;
    std::string scope;
  };

  Result<PluginEndpoint> find();
  Result<Greeting> greeting(const PluginEndpoint& endpoint, bool anew);
  Result<json::Object> ask(const PluginEndpoint& endpoint, std::string_view method,
                           const std::string& body, PluginClient::Pace pace);
  Result<json::Object> read_answer(const PluginEndpoint& endpoint, std::string_view method,
                                   const PluginAnswer& answer) const;
  void note(const Error* failure);
  void watch();

  const std::string name_;
  PluginSurroundings& surroundings_;
  mutable std::mutex mutex_;  // guards what follows
  std::optional<Greeting> greeting_;
  bool silent_ = false;
};

// Whether the failed call certainly did nothing, because the plugin never got it or said so itself.
bool certainly_undone(const Error& error);

// Whether it was the plugin itself that reported the failure.
bool plugin_said_so(const Error& error);

}  // namespace holdfast
