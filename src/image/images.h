#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "state/store.h"
#include "storage/archive/stream.h"

namespace holdfast::image {

// What the programs outside (skopeo) are told; see holdfastd's options.
struct Options {
  std::string data_root;  // holds images/, layers/ and staging/
  std::string exec_root;  // for files that must not outlive a boot, such as credentials
  std::vector<std::string> insecure_registries;  // host[:port] or CIDR, beside loopback
  std::size_t parallel_downloads = 3;
};

// Who may read from or write to a registry; all empty is anonymous.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
};

// "linux/arm64/v8"; empty fields mean the host's.
struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
};
Result<Platform> parse_platform(std::string_view text);
Platform host_platform();

// Takes Docker's JSON messages ({"status":…,"id":…,"progressDetail":…}), one call each, serialised
// and without a line end. May be called from several threads, one at a time; blocking slows the
// operation down.
using Progress = std::function<void(std::string_view json)>;

// Something that happened to an image, for `docker events`.
struct Event {
  std::string action;  // pull push tag untag delete import load save
  std::string id;      // Actor.ID as Docker has it: the reference for pull and push, else image id
  std::map<std::string, std::string> attributes;  // "name" and the image's labels
};

// An image as the engine needs it to make a container.
struct Image {
  ImageId id;
  json::Object config;  // the whole config document: architecture, os, config{Env,Cmd,…}, rootfs, …
  std::vector<std::string> repo_tags;     // familiar: "busybox:latest"
  std::vector<std::string> repo_digests;  // "busybox@sha256:…"
  std::uint64_t size = 0;
  Time created;
  ImageId parent;  // of a local commit; else empty

  // The member "config": what containers start with (Env, Cmd, Entrypoint, Volumes, …).
  const json::Object& container_config() const;
  std::map<std::string, std::string> labels() const;
};

// A container that uses an image, told by the engine.
struct User {
  ContainerId id;
  bool running = false;
};
// All containers made from an image.
using Users = std::function<std::vector<User>(const ImageId&)>;

using Filters = std::multimap<std::string, std::string>;

struct RemoveOptions {
  bool force = false;
  bool prune_parents = true;
};

// One line of a removal's answer: exactly one is set.
struct Removed {
  std::string untagged;
  std::string deleted;
};
json::Array to_json(const std::vector<Removed>& removed);

struct Pruned {
  std::vector<Removed> removed;
  std::uint64_t space_reclaimed = 0;
};

struct ImportRequest {
  std::string reference;  // "name[:tag]"; empty: no name
  std::string message;    // empty: "Imported from -"
  std::vector<std::string> changes;
  Platform platform;
  std::string source_name = "-";
};

// A new image of a parent and one more layer (docker commit).
struct CommitRequest {
  ImageId parent;
  std::string reference;
  std::string comment;
  std::string author;
  std::vector<std::string> changes;
  json::Object container_config;  // the container's; the image's `config` unless changed
  ContainerId container;
};

struct DiskUsage {
  std::uint64_t layers_size = 0;
  std::map<ImageId, std::uint64_t> shared_size;  // bytes of each image other images share
};

// Keeps an image from being removed while a container is being made from it: from pin() until the
// container is known to the engine's Users.
class Pin {
 public:
  Pin() = default;
  explicit Pin(std::function<void()> release) : release_(std::move(release)) {}
  Pin(Pin&& other) noexcept : release_(std::exchange(other.release_, nullptr)) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(release_, other.release_);
    return *this;
  }
  ~Pin() {
    if (release_) release_();
  }

 private:
  std::function<void()> release_;
};

// The images of this host: content-addressed blobs as they came (images/blobs/sha256, an OCI
// layout), their layers unpacked (storage/layer), names and records in the Store. An image exists
// once its record is committed; its blobs and layers are on disk by then. What a killed pull leaves
// lies in staging/ and is removed at open, as are blobs and layers no image needs. Owned by the
// daemon's main; thread-safe; long operations (pull, push, load, save, import) hold no lock while
// they move data. Users callbacks are called with no lock held.
class Images {
 public:
  static Result<std::unique_ptr<Images>> open(Options options, Store& store);
  ~Images();

  // Called after each event, on the thread of the operation, with no lock held. Set before use.
  void on_event(std::function<void(const Event&)> listener);

  // A tag, a digest, name@digest, a full id or a unique prefix of one. kNotFound is exactly
  // "No such image: x:latest".
  Result<ImageId> resolve(std::string_view text) const;
  Result<Image> get(const ImageId& id) const;
  Result<Image> find(std::string_view text) const;  // resolve, then get
  Result<Pin> pin(const ImageId& id);
  std::size_t count() const;

  // Overlay lower directories, topmost first.
  Result<std::vector<std::string>> layer_paths(const ImageId& id) const;

  // GET /images/json (dangling, label, reference, before, since, until filters), newest first;
  // "Containers" and "SharedSize" are -1. kInvalidArgument for an unknown filter.
  Result<json::Array> list(const Filters& filters, bool all) const;
  Result<json::Object> inspect(std::string_view text) const;  // GET /images/{name}/json
  Result<json::Array> history(std::string_view text) const;   // GET /images/{name}/history

  // Fetches an image. `reference` is "name[:tag][@digest]". Blocks until it is durable. On failure
  // nothing is left. A kNotFound and others carry Docker's words.
  Status pull(std::string_view reference, const std::optional<Platform>& platform,
              const Credentials& credentials, const Progress& progress,
              const Cancellation& cancellation);
  // Every tag of the name when `reference` has none and `all_tags`.
  Status push(std::string_view reference, const Credentials& credentials, const Progress& progress,
              const Cancellation& cancellation);

  // Asks the registry at `server` ("" or Docker Hub's address: docker.io) whether it takes the
  // credentials. kUnauthenticated when it doesn't.
  Status check_credentials(std::string_view server, const Credentials& credentials) const;

  // docker-archive (old and new) and OCI archives, compressed or not. Says what was loaded through
  // `progress` as {"stream":"Loaded image: x:latest\n"}.
  Status load(const archive::Source& tar, const Progress& progress,
              const Cancellation& cancellation);
  // One archive of all `names` (names, tags, ids).
  Status save(const std::vector<std::string>& names, const archive::Sink& sink,
              const Cancellation& cancellation);
  Result<ImageId> import(const archive::Source& tar, const ImportRequest& request,
                         const Progress& progress, const Cancellation& cancellation);
  // `write_diff` writes the new layer's tar (archive::create with overlay_upper) to the sink it is
  // given.
  Result<ImageId> commit(const CommitRequest& request,
                         const std::function<Status(const archive::Sink&)>& write_diff);

  // Names `source` (whatever resolve takes) `repository:tag`; moves the name if it was taken.
  Status tag(std::string_view source, std::string_view repository, std::string_view tag);
  Result<std::vector<Removed>> remove(std::string_view text, const RemoveOptions& options,
                                      const Users& users);
  // Filters dangling (default true), label, label!, until.
  Result<Pruned> prune(const Filters& filters, const Users& users);

  DiskUsage disk_usage() const;

  struct Impl;

 private:
  explicit Images(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::image
