#include <poll.h>

#include <algorithm>
#include <set>
#include <thread>

#include "engine/engine_impl.h"
#include "image/messages.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_size.h"
#include "storage/migrate/foreign_root.h"
#include "storage/volume/layout.h"

// Volumes of other engines, and taking them over.
namespace holdfast {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kProgressInterval(100);

// Taking files over is no way around the list of what may be mounted.
Result<ForeignRoot> open_root(const BindPolicy& policy, const std::string& engine,
                              const std::string& path, const Requester& requester) {
  ASSIGN_OR_RETURN(auto kind, parse_foreign_engine(engine));
  std::string asked = path.empty() ? usual_root(kind) : path;
  ASSIGN_OR_RETURN(auto root, ForeignRoot::open(kind, asked));
  RETURN_IF_ERROR(policy.judge(root.directory(), asked, requester));
  return root;
}

// A limit of size is set later: what a volume is limited by is made for a volume that is there.
VolumeSpec spec_of(const ForeignVolume& volume) {
  VolumeSpec spec{volume.name, "local", volume.options, volume.labels};
  spec.options.erase("size");
  return spec;
}

// Why the volume can't be taken over, by whichever side; empty: it can.
std::string problem_of(const ForeignVolume& volume, Volumes& volumes) {
  if (!volume.problem.empty()) return volume.problem;
  auto may = volumes.may_adopt(spec_of(volume));
  return may ? "" : may.error().message;
}

json::Value text_or_null(const std::string& text) {
  return text.empty() ? json::Value() : json::Value(text);
}

json::Object to_json(const ForeignVolume& volume, const std::string& problem) {
  return {{"Name", volume.name},
          {"Driver", volume.driver},
          {"Labels", json::from_string_map(volume.labels)},
          {"Options", json::from_string_map(volume.options)},
          {"CreatedAt", to_rfc3339(volume.created)},
          {"Data", text_or_null(volume.path)},
          {"Size", volume.size ? static_cast<std::int64_t>(*volume.size) : -1},
          {"UsedBy", text_or_null(volume.user)},
          {"Problem", text_or_null(problem)}};
}

Result<Volumes::AdoptBy> parse_how(const MigrateRequest& request) {
  if (request.how == "copy") return Volumes::AdoptBy::kCopy;
  if (request.how == "reflink") return Volumes::AdoptBy::kReflink;
  if (request.how != "move")
    return fail(Code::kInvalidArgument,
                "unknown way \"{}\" to take volumes over: there are \"copy\", \"reflink\" and "
                "\"move\"",
                request.how);
  if (request.live)
    return fail(Code::kInvalidArgument,
                "files that are in use are copied, not moved: --live doesn't go with move");
  return Volumes::AdoptBy::kMove;
}

// Tells of one volume's progress while it is copied, and looks out for the client to go away.
class CopyWatch {
 public:
  CopyWatch(image::Messages& messages, std::string name, const Cancellation& cancellation)
      : messages_(messages),
        name_(std::move(name)),
        cancellation_(cancellation),
        thread_([this] { run(); }) {}
  ~CopyWatch() {
    ended_.cancel();
    thread_.join();
  }
  CopyWatch(const CopyWatch&) = delete;
  CopyWatch& operator=(const CopyWatch&) = delete;

  void expect(std::uint64_t bytes) { total_ = bytes; }
  const std::atomic<bool>& cancelled() const { return cancelled_; }
  std::atomic<std::uint64_t>& copied() { return copied_; }

 private:
  void run() {
    while (!ended_.cancelled()) {
      pollfd ends[] = {{cancellation_.fd().get(), POLLIN, 0}, {ended_.fd().get(), POLLIN, 0}};
      ::poll(ends, std::size(ends), static_cast<int>(kProgressInterval.count()));
      if (cancellation_.cancelled()) {
        cancelled_ = true;
        return;
      }
      if (copied_ > 0) messages_.progress("Copying", name_, copied_, total_);
    }
  }

  image::Messages& messages_;
  const std::string name_;
  const Cancellation& cancellation_;
  Cancellation ended_;
  std::atomic<bool> cancelled_{false};
  std::atomic<std::uint64_t> copied_{0}, total_{0};
  std::thread thread_;
};

// One request to take volumes over, while it is at work.
class Migration {
 public:
  Migration(Engine::Impl& impl, const MigrateRequest& request, Volumes::AdoptBy by,
            ForeignRoot root, const image::Progress& progress, const Cancellation& cancellation)
      : impl_(impl),
        request_(request),
        by_(by),
        root_(std::move(root)),
        messages_(progress),
        cancellation_(cancellation) {}

  Status run() {
    ASSIGN_OR_RETURN(auto volumes, root_.volumes());
    RETURN_IF_ERROR(check_names(volumes));
    for (const auto& volume : volumes) {
      if (!wanted(volume)) continue;
      RETURN_IF_ERROR(cancellation_.check());
      RETURN_IF_ERROR(take(volume));
    }
    messages_.aux({{"TakenOver", std::move(taken_)},
                   {"Skipped", std::move(skipped_)},
                   {"Failed", std::move(failed_)}});
    return {};
  }

 private:
  bool named(const ForeignVolume& volume) const {
    const auto& names = request_.names;
    return std::find(names.begin(), names.end(), volume.name) != names.end();
  }
  bool wanted(const ForeignVolume& volume) const { return request_.names.empty() || named(volume); }

  Status check_names(const std::vector<ForeignVolume>& volumes) const {
    for (const auto& name : request_.names) {
      auto found = std::find_if(volumes.begin(), volumes.end(),
                                [&](const ForeignVolume& volume) { return volume.name == name; });
      if (found == volumes.end())
        return fail(Code::kNotFound, "get {}: {} has no such volume", name, request_.engine);
    }
    return {};
  }

  void skip(const ForeignVolume& volume, const std::string& reason) {
    messages_.status("Skipped: " + reason, volume.name);
    skipped_.push_back(json::Object{{"Name", volume.name}, {"Reason", reason}});
  }
  void fail_one(const ForeignVolume& volume, const std::string& reason) {
    messages_.status("Failed: " + reason, volume.name);
    failed_.push_back(json::Object{{"Name", volume.name}, {"Reason", reason}});
  }

  // "" or why its files can't be taken now.
  Result<std::string> in_use(const ForeignVolume& volume) const {
    if (request_.live || !volume.has_files) return std::string();
    ASSIGN_OR_RETURN(auto user, root_.user_of(volume.name));
    if (user.empty()) return user;
    return fmt::format(
        "in use by {}: stop its container, or say that it is to be copied while it may be written "
        "to (--live)",
        user);
  }

  // An error only for what ends all of it.
  Status take(const ForeignVolume& volume) {
    auto may = impl_.parts.volumes.may_adopt(spec_of(volume));
    bool here = volume.problem.empty() && !may && may.error().code == Code::kAlreadyExists;
    if (auto problem = problem_of(volume, impl_.parts.volumes); !problem.empty()) {
      here || !named(volume) ? skip(volume, problem) : fail_one(volume, problem);
      return {};
    }
    if (auto use = in_use(volume); !use || !use->empty()) {
      fail_one(volume, use ? *use : use.error().message);
      return {};
    }
    auto adopted = adopt(volume);
    if (!adopted && adopted.error().code == Code::kCancelled)
      return tl::unexpected(std::move(adopted).error());
    if (!adopted) {
      fail_one(volume, adopted.error().message);
      return {};
    }
    auto limited = set_limit(volume);
    messages_.status(
        limited ? "Taken over" : "Taken over without its limit of size: " + limited.error().message,
        volume.name);
    taken_.push_back(json::Value(volume.name));
    impl_.publish_volume("create", (*adopted)->name, {{"driver", (*adopted)->driver}});
    return {};
  }

  Status set_limit(const ForeignVolume& volume) {
    auto size = volume.options.find("size");
    if (size == volume.options.end()) return {};
    Volumes::Change change{{}, {{"size", size->second}}};
    return impl_.parts.volumes.update(VolumeName(volume.name), change).map([](const VolumePtr&) {});
  }

  Result<VolumePtr> adopt(const ForeignVolume& volume) {
    Volumes::Adoption adoption;
    adoption.spec = spec_of(volume);
    adoption.created = volume.created;
    adoption.by = by_;
    adoption.include_devices = root_.owned_by_root();
    if (!volume.has_files) return impl_.parts.volumes.adopt(adoption);
    ASSIGN_OR_RETURN(auto directory, root_.open_volume(volume.name));
    adoption.source = directory;
    // A container that was started meanwhile has written to what was copied before.
    adoption.confirm = [&]() -> Status {
      ASSIGN_OR_RETURN(auto use, in_use(volume));
      return use.empty() ? Status() : fail(Code::kConflict, "{}", use);
    };
    CopyWatch watch(messages_, volume.name, cancellation_);
    adoption.cancelled = &watch.cancelled();
    adoption.copied = &watch.copied();
    if (by_ != Volumes::AdoptBy::kMove) {
      ASSIGN_OR_RETURN(auto files, open_directory(directory, layout::kData));
      ASSIGN_OR_RETURN(auto bytes, tree_size(files, &watch.cancelled()));
      watch.expect(bytes);
    }
    auto adopted = impl_.parts.volumes.adopt(adoption);
    if (adopted && by_ == Volumes::AdoptBy::kMove) root_.forget(volume.name);
    return adopted;
  }

  Engine::Impl& impl_;
  const MigrateRequest& request_;
  const Volumes::AdoptBy by_;
  const ForeignRoot root_;
  image::Messages messages_;
  const Cancellation& cancellation_;
  json::Array taken_, skipped_, failed_;
};

}  // namespace

Result<json::Object> Engine::list_foreign_volumes(const std::string& engine,
                                                  const std::string& path, milliseconds size_budget,
                                                  const Requester& requester) const {
  ASSIGN_OR_RETURN(auto root, open_root(impl_->options.bind_policy, engine, path, requester));
  ASSIGN_OR_RETURN(auto volumes, root.volumes());
  root.measure(volumes, size_budget);
  auto stopped = root.keep_stopped();
  json::Array list;
  for (const auto& volume : volumes)
    list.push_back(to_json(volume, problem_of(volume, impl_->parts.volumes)));
  return json::Object{{"Engine", engine},
                      {"Root", root.path()},
                      {"Running", text_or_null(stopped ? "" : stopped.error().message)},
                      {"Volumes", std::move(list)}};
}

Status Engine::migrate(const MigrateRequest& request, const image::Progress& progress,
                       const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(auto by, parse_how(request));
  ASSIGN_OR_RETURN(auto root, open_root(impl_->options.bind_policy, request.engine, request.root,
                                        request.requester));
  if (!request.live) RETURN_IF_ERROR(root.keep_stopped());
  return Migration(*impl_, request, by, std::move(root), progress, cancellation).run();
}

}  // namespace holdfast
