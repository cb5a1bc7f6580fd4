#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/cancellation.h"
#include "base/json.h"
#include "base/secret_bytes.h"
#include "engine/client_stream.h"
#include "engine/container.h"
#include "engine/event_bus.h"
#include "image/images.h"
#include "storage/archive/stream.h"

namespace holdfast {

class EventLoop;
class Networks;
class Runtime;
class Store;
class ThreadPool;
class Volumes;

using FilterMap = std::multimap<std::string, std::string>;

// Whether a request changed anything: a container that runs is not started again (304 over HTTP).
enum class Outcome { kDone, kUnchanged };

struct EngineOptions {
  std::string data_root;
  std::string exec_root;
  std::string version;
  std::vector<std::string> labels;  // of the daemon, "name=value"
  BindPolicy bind_policy;
  bool private_users = false;  // containers have user namespaces of their own by default
  std::string
      subordinate_user;      // whose ids in /etc/subuid they get; empty: holdfast's, or usual ones
  bool live_restore = true;  // containers outlive a clean stop of the daemon, too
  std::string secrets_key_file;  // outside of the data root
};

// What the engine is put together from; all of it outlives the engine.
struct EngineParts {
  Store& store;
  Volumes& volumes;
  image::Images& images;
  Networks& networks;
  Runtime& runtime;
  EventLoop& loop;
  ThreadPool& pool;
};

struct ContainerRequest {
  std::string name;
  std::string platform;
  std::string api_version;  // "1.50"
  Requester requester;
  json::Object body;
};
struct ContainerMade {
  ContainerId id;
  std::vector<std::string> warnings;
};

struct ListOptions {
  bool all = false;
  bool size = false;
  std::size_t limit = 0;  // 0: no limit
  FilterMap filters;
};

struct RemoveOptions {
  bool force = false;
  bool volumes = false;
};

struct CommitRequest {
  std::string container;
  std::string reference;
  std::string comment;
  std::string author;
  std::vector<std::string> changes;
  bool pause = true;  // the container stands still while its layer is read
};

struct AttachOptions {
  bool logs = false;
  bool stream = false;
  bool in = false;
  bool out = false;
  bool err = false;
  std::string detach_keys;  // "" is ctrl-p,ctrl-q
};

struct LogOptions {
  bool follow = false;
  bool out = false;
  bool err = false;
  bool timestamps = false;
  std::optional<std::size_t> tail;
  std::optional<Time> since;
  std::optional<Time> until;
};

struct MigrateRequest {
  std::string engine;
  std::string root;                // empty: the usual one
  std::string how = "copy";        // or "reflink", "move"
  bool live = false;               // whether or not they are in use
  std::vector<std::string> names;  // empty: all that can be taken over
  Requester requester;
};

// What HEAD and GET of /containers/{id}/archive tell in X-Docker-Container-Path-Stat.
struct PathStat {
  std::string name;
  std::int64_t size = 0;
  std::uint32_t mode = 0;  // Go's os.FileMode
  Time modified;
  std::string link_target;
  json::Object to_json() const;
};

struct PutArchiveOptions {
  bool no_overwrite_dir_non_dir = false;
  bool copy_owner = false;
};

// The container engine: what Docker's API can do, as calls. It composes storage, images, networks
// and the runtime, and owns the containers. Created by the daemon's main after all of its parts,
// ended before them; containers go on running without it. Thread-safe. Calls may block for as long
// as their work takes, unless they say otherwise; what waits for long (wait, attach, logs -f) calls
// back instead. Errors carry Docker's words.
class Engine {
 public:
  // Reads the records and finds out which containers still run: they are taken over, and volumes
  // know their holders, before it returns. Nothing is served before. What can wait (cleaning up
  // after the dead, restart policies) follows in start_background().
  static Result<std::unique_ptr<Engine>> open(EngineOptions options, EngineParts parts);
  ~Engine();
  void start_background();
  // Ends the restarts that are due and waits for operations under way; containers run on.
  void stop();

  // --- containers (engine/create.cc, lifecycle.cc, remove.cc, …) ---
  Result<ContainerMade> create(const ContainerRequest& request);
  Result<Outcome> start(const std::string& name);
  // `timeout`: seconds until SIGKILL; -1 waits for ever; absent: the container's, else 10.
  Result<Outcome> stop(const std::string& name, std::optional<int> timeout,
                       const std::string& signal);
  Status restart(const std::string& name, std::optional<int> timeout, const std::string& signal);
  Status kill(const std::string& name, const std::string& signal);
  Status pause(const std::string& name);
  Status unpause(const std::string& name);
  Status remove(const std::string& name, const RemoveOptions& options);
  Status rename(const std::string& name, const std::string& new_name);
  Result<std::vector<std::string>> update(const std::string& name,
                                          const json::Object& body);  // warnings
  Status resize(const std::string& name, unsigned height, unsigned width);
  Result<json::Object> inspect(const std::string& name, bool size) const;
  Result<json::Array> list(const ListOptions& options) const;
  Result<json::Object> top(const std::string& name, const std::string& ps_arguments) const;
  Result<json::Array> changes(const std::string& name) const;
  Result<json::Object> stats(const std::string& name) const;  // one sample; precpu_stats empty
  Result<json::Object> prune_containers(const FilterMap& filters);
  Result<json::Object> commit(const CommitRequest& request);

  // Calls `done` once, on any thread. Does not block.
  [[nodiscard]] Result<Subscription> wait(const std::string& name, WaitCondition condition,
                                          std::function<void(WaitResult)> done) const;

  // Ties the client to the container's streams until either ends. `accept` is called once
  // everything is in order and gives the client's connection (over HTTP: sends the head); it is not
  // called after an error.
  Status attach(const std::string& name, const AttachOptions& options,
                const std::function<std::unique_ptr<ClientDuplex>(bool tty)>& accept);
  Status logs(const std::string& name, const LogOptions& options,
              const std::function<std::unique_ptr<ClientOutput>(bool tty)>& accept);

  // --- files of containers (copy.cc) ---
  Result<PathStat> stat_path(const std::string& name, const std::string& path) const;
  // `begin` is told about the path before the first byte goes to the sink it returns.
  Status get_archive(const std::string& name, const std::string& path,
                     const std::function<archive::Sink(const PathStat&)>& begin) const;
  Status put_archive(const std::string& name, const std::string& path,
                     const PutArchiveOptions& options, const archive::Source& tar);
  Status export_container(const std::string& name,
                          const std::function<archive::Sink()>& begin) const;

  // --- exec (exec.cc) ---
  Result<std::string> exec_create(const std::string& name, const json::Object& body);
  struct ExecStart {
    bool detach = false;
    bool tty = false;
    std::optional<std::pair<unsigned, unsigned>> console_size;  // height, width
  };
  Status exec_start(const std::string& exec_id, const ExecStart& options,
                    const std::function<std::unique_ptr<ClientDuplex>(bool tty)>& accept);
  Result<json::Object> exec_inspect(const std::string& exec_id) const;
  Status exec_resize(const std::string& exec_id, unsigned height, unsigned width);

  // --- volumes (volumes.cc, volume_look.cc, volume_change.cc): Docker's JSON ---
  Result<json::Object> create_volume(const json::Object& body, const Requester& requester);
  Result<std::string> list_volumes(const FilterMap& filters) const;  // as text: there may be many
  // Beyond Docker: each with when it was last used, and with its size, as far as that is known
  // within `size_budget`.
  Result<std::string> list_volumes_in_detail(
      const FilterMap& filters, std::optional<std::chrono::milliseconds> size_budget) const;
  Result<json::Object> inspect_volume(const std::string& name) const;
  Status remove_volume(const std::string& name, bool force);
  Result<json::Object> prune_volumes(const FilterMap& filters, const std::string& api_version);
  // What prune_volumes() would take, and how much space that gives back. Changes nothing.
  Result<json::Object> preview_volume_prune(const FilterMap& filters,
                                            const std::string& api_version,
                                            std::chrono::milliseconds size_budget) const;
  // {"Labels": {"name": "value" or null}, "Options": {…}}: null takes away.
  Result<json::Object> update_volume(const std::string& name, const json::Object& body,
                                     const Requester& requester);
  // Containers that don't run follow.
  Result<json::Object> rename_volume(const std::string& name, const std::string& new_name);

  // --- volumes of other engines (migrate.cc) ---
  // What `engine` ("docker", "podman") keeps under `root`, which may be empty for the usual one:
  // {"Engine", "Root", "Running": who keeps it in use or null, "Volumes"}. Changes nothing.
  Result<json::Object> list_foreign_volumes(const std::string& engine, const std::string& root,
                                            std::chrono::milliseconds size_budget,
                                            const Requester& requester) const;
  // Takes volumes over. Progress comes as Docker's JSON messages, the last of which tells what
  // became of each: {"aux": {"TakenOver", "Skipped", "Failed"}}. An error ends all of it; what was
  // taken over until then stays, and the one that was at work is undone.
  Status migrate(const MigrateRequest& request, const image::Progress& progress,
                 const Cancellation& cancellation);

  // --- plugins (plugins.cc): Docker's JSON for what it calls managed plugins ---
  Result<json::Array> list_plugins(const FilterMap& filters) const;
  Result<json::Object> inspect_plugin(const std::string& name) const;

  // --- secrets (secret_operations.cc): Docker's JSON ---
  // `spec` without its Data, which comes decoded.
  Result<json::Object> create_secret(const json::Object& spec, const SecretBytes& data);
  Result<json::Array> list_secrets(const FilterMap& filters) const;
  Result<json::Object> inspect_secret(const std::string& name) const;
  // Labels only; `version` is that of the secret as the client saw it.
  Status update_secret(const std::string& name, std::uint64_t version, const json::Object& spec);
  Status remove_secret(const std::string& name);

  // --- networks (networks.cc) ---
  Result<json::Object> create_network(const json::Object& body);
  Result<json::Array> list_networks(const FilterMap& filters) const;
  Result<json::Object> inspect_network(const std::string& name) const;
  Status connect_network(const std::string& network, const json::Object& body);
  Status disconnect_network(const std::string& network, const json::Object& body);
  Status remove_network(const std::string& name);
  Result<json::Object> prune_networks(const FilterMap& filters);

  // --- images: what needs to know the containers; the rest is images() (image_routes use it
  // directly) ---
  Result<json::Array> list_images(const FilterMap& filters,
                                  bool all) const;  // with Containers filled in
  Result<json::Array> remove_image(const std::string& name, const image::RemoveOptions& options);
  Result<json::Object> prune_images(const FilterMap& filters);
  image::Images& images();

  // --- system (system.cc) ---
  json::Object info() const;
  json::Object version() const;
  Result<json::Object> disk_usage(const std::vector<std::string>& types) const;  // empty: all
  EventBus& events();

  struct Impl;  // engine_impl.h, for src/engine alone

 private:
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
