#include "storage/layer/layers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "os/safe_path.h"
#include "os/xattr.h"
#include "storage/archive/remove_entry.h"

namespace holdfast {
namespace {

constexpr std::string_view kStagedPrefix = "layer-";

std::string digits_of(const ChainId& id) { return id.str().substr(id.str().find(':') + 1); }

std::string document_of(const Layer& layer) {
  return json::serialize(json::Object{
      {"diff_id", layer.diff.str()}, {"parent", layer.parent.str()}, {"size", layer.size}});
}

Result<Layer> parse_layer(const Record& record) {
  ASSIGN_OR_RETURN(auto document, json::parse_object(record.document));
  Layer layer;
  layer.id = ChainId(record.key);
  layer.parent = ChainId(json::string_or(document, "parent"));
  layer.diff = DiffId(json::string_or(document, "diff_id"));
  layer.size = static_cast<std::uint64_t>(json::int_or(document, "size"));
  return layer;
}

Status remove_directory(const std::string& path) {
  auto slash = path.rfind('/');
  ASSIGN_OR_RETURN(auto parent, open_file(path.substr(0, slash), O_RDONLY | O_DIRECTORY));
  return archive::remove_entry(parent, path.substr(slash + 1));
}

Result<std::vector<std::string>> list_names(const std::string& path) {
  DIR* stream = ::opendir(path.c_str());
  if (!stream) return fail_errno("list \"{}\"", path);
  std::vector<std::string> names;
  while (const struct dirent* entry = ::readdir(stream)) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  return names;
}

// A directory the archive only implied looks like the one it covers.
Status copy_attributes(BorrowedFd from, BorrowedFd to) {
  struct stat status = {};
  if (::fstat(from.get(), &status) != 0) return fail_errno("stat");
  if (::fchown(to.get(), status.st_uid, status.st_gid) != 0 && ::geteuid() == 0)
    return fail_errno("chown");
  if (::fchmod(to.get(), status.st_mode & 07777) != 0) return fail_errno("chmod");
  ASSIGN_OR_RETURN(auto xattrs, read_xattrs(from));
  for (const auto& xattr : xattrs) {
    if (!xattr.name.starts_with("trusted.")) RETURN_IF_ERROR(write_xattr(to, {}, xattr));
  }
  struct timespec times[2] = {status.st_atim, status.st_mtim};
  if (::futimens(to.get(), times) != 0) return fail_errno("set times");
  return {};
}

}  // namespace

std::vector<ChainId> chain_ids(const std::vector<DiffId>& layers) {
  std::vector<ChainId> chain;
  for (const auto& diff : layers) {
    if (chain.empty()) {
      chain.emplace_back(diff.str());
    } else {
      chain.emplace_back("sha256:" + sha256_hex(chain.back().str() + " " + diff.str()));
    }
  }
  return chain;
}

StagedLayer& StagedLayer::operator=(StagedLayer&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(diff_, other.diff_);
  std::swap(size_, other.size_);
  std::swap(implied_directories_, other.implied_directories_);
  return *this;
}

StagedLayer::~StagedLayer() {
  if (path_.empty()) return;
  // What cannot be removed now is swept at the next start.
  if (auto removed = remove_directory(path_); !removed)
    log::warn("remove staged layer \"{}\": {}", path_, removed.error().message);
}

struct Layers::Impl {
  std::string directory;  // <data-root>/layers
  std::string staging;
  UniqueFd directory_fd;
  Store* store = nullptr;

  mutable std::mutex mutex;  // guards what follows; no I/O under it but renames into place
  struct Known {
    Layer layer;
    std::set<HolderId> holders;
    bool leaving = false;  // released by the last holder; for others it is gone already
  };
  std::map<ChainId, Known> layers;
  mutable std::condition_variable left;  // a layer stopped leaving, one way or the other

  std::string path(const ChainId& id) const { return directory + "/" + digits_of(id); }

  Status load() {
    ASSIGN_OR_RETURN(auto records, store->all(RecordKind::kLayer));
    for (const auto& record : records) {
      auto layer = parse_layer(record);
      if (!layer) {
        // One bad record never stops the daemon: its images say what they miss.
        log::warn("record of layer \"{}\": {}", record.key, layer.error().message);
        continue;
      }
      if (!file_exists(path(layer->id))) {
        // Somebody's hand: without it nobody may take the layer for one that is there.
        log::error("layer {}: its directory is missing", layer->id);
        continue;
      }
      layers[layer->id] = Known{*layer, {}, false};
    }
    return {};
  }

  // Directories that no record speaks of: placed by somebody who was killed before the commit.
  Status sweep_directories() {
    std::set<std::string> known;
    for (const auto& [id, layer] : layers) known.insert(digits_of(id));
    ASSIGN_OR_RETURN(auto names, list_names(directory));
    for (const auto& name : names) {
      if (!known.contains(name)) remove_quietly(move_away(directory + "/" + name));
    }
    return {};
  }

  Status sweep_staging() {
    ASSIGN_OR_RETURN(auto names, list_names(staging));
    for (const auto& name : names) {
      if (name.starts_with(kStagedPrefix)) RETURN_IF_ERROR(remove_directory(staging + "/" + name));
    }
    return {};
  }

  // Out of sight by one rename, so that what a killed removal leaves is not taken for a layer.
  // Returns where it is now, to be removed; empty when there was nothing.
  std::string move_away(const std::string& path) const {
    std::string away = fmt::format("{}/{}{}", staging, kStagedPrefix, random_hex(16));
    if (::rename(path.c_str(), away.c_str()) == 0) return away;
    if (errno != ENOENT) log::warn("move \"{}\" away: {}", path, ::strerror(errno));
    return {};
  }

  // Layers about to be placed, by the id each will have.
  using Coming = std::map<ChainId, const Placement*>;

  // Gives implied directories the attributes of the layers below, topmost first.
  Status dress(const Placement& placement, const Coming& coming) {
    if (placement.layer.implied_directories_.empty()) return {};
    ASSIGN_OR_RETURN(auto top, open_file(placement.layer.path_, O_RDONLY | O_DIRECTORY));
    for (const auto& directory : placement.layer.implied_directories_) {
      auto mine = open_confined(top, directory, Confine::kInRoot, O_RDONLY | O_DIRECTORY);
      if (!mine) continue;  // a later member replaced it
      RETURN_IF_ERROR(dress_one(*mine, directory, placement.parent, coming));
    }
    return {};
  }

  Status dress_one(BorrowedFd mine, const std::string& directory, ChainId below,
                   const Coming& coming) {
    while (!below.empty()) {
      auto staged = coming.find(below);
      bool is_staged = staged != coming.end();
      std::string lower = is_staged ? staged->second->layer.path_ : path(below);
      ASSIGN_OR_RETURN(auto root, open_file(lower, O_RDONLY | O_DIRECTORY));
      auto theirs =
          open_confined(root, directory, Confine::kInRoot, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (theirs) return copy_attributes(*theirs, mine);
      below = is_staged ? staged->second->parent : parent_of(below);
    }
    return {};
  }

  ChainId parent_of(const ChainId& id) const {
    std::lock_guard lock(mutex);
    auto known = layers.find(id);
    return known == layers.end() ? ChainId() : known->second.layer.parent;
  }

  // Renames one layer to its name. A directory of that name that no record speaks of makes way.
  Status move_into_place(const StagedLayer& staged, const ChainId& id, std::string& in_the_way) {
    std::string target = path(id);
    if (::rename(staged.path_.c_str(), target.c_str()) == 0) return {};
    if (errno == ENOTEMPTY || errno == EEXIST) {
      in_the_way = move_away(target);
      if (::rename(staged.path_.c_str(), target.c_str()) == 0) return {};
    }
    return fail_errno("rename \"{}\" to \"{}\"", staged.path_, target);
  }

  // Takes one layer into the store, unless it is there. Returns a directory to be removed, if any.
  Result<std::string> take(Placement& placement, const ChainId& id, const HolderId& holder) {
    std::unique_lock lock(mutex);
    left.wait(lock, [&] {
      auto known = layers.find(id);
      return known == layers.end() || !known->second.leaving;
    });
    std::string in_the_way;
    if (!layers.contains(id)) {
      RETURN_IF_ERROR(move_into_place(placement.layer, id, in_the_way));
      placement.layer.path_.clear();
      Layer layer{id, placement.parent, placement.layer.diff_, placement.layer.size_};
      layers[id] = Known{std::move(layer), {}, false};
    }
    layers[id].holders.insert(holder);
    return in_the_way;
  }

  void remove_quietly(const std::string& path) const {
    if (path.empty()) return;
    if (auto removed = remove_directory(path); !removed)
      log::warn("remove \"{}\": {}", path, removed.error().message);
  }
};

Layers::Layers(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Layers::~Layers() = default;

Result<std::unique_ptr<Layers>> Layers::open(const std::string& data_root, Store& store) {
  auto impl = std::make_unique<Impl>();
  impl->directory = data_root + "/layers";
  impl->staging = data_root + "/staging";
  impl->store = &store;
  RETURN_IF_ERROR(make_directories(impl->directory, 0700));
  RETURN_IF_ERROR(make_directories(impl->staging, 0700));
  ASSIGN_OR_RETURN(impl->directory_fd, open_file(impl->directory, O_RDONLY | O_DIRECTORY));
  RETURN_IF_ERROR(impl->load());
  RETURN_IF_ERROR(impl->sweep_staging());
  RETURN_IF_ERROR(impl->sweep_directories());
  return std::unique_ptr<Layers>(new Layers(std::move(impl)));
}

std::optional<Layer> Layers::find(const ChainId& id) const {
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->layers.find(id);
  if (known == impl_->layers.end() || known->second.leaving) return std::nullopt;
  return known->second.layer;
}

std::string Layers::path(const ChainId& id) const { return impl_->path(id); }

Result<StagedLayer> Layers::unpack(const archive::Source& blob, const DiffId& diff,
                                   const archive::ExtractOptions& options) {
  StagedLayer staged;
  std::string path = fmt::format("{}/{}{}", impl_->staging, kStagedPrefix, random_hex(16));
  if (::mkdir(path.c_str(), 0755) != 0) return fail_errno("mkdir \"{}\"", path);
  staged.path_ = path;
  ASSIGN_OR_RETURN(auto root, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fchmod(root.get(), 0755) != 0) return fail_errno("chmod \"{}\"", path);
  archive::ExtractOptions wanted = options;
  wanted.overlay_whiteouts = true;
  wanted.digest = true;
  ASSIGN_OR_RETURN(auto extracted, archive::extract(blob, root, {}, wanted));
  if (!diff.empty() && extracted.diff_id != diff.str()) {
    return fail(Code::kDataLoss,
                "layers from manifest don't match image configuration: layer {} "
                "unpacks to {}",
                diff.str(), extracted.diff_id);
  }
  staged.diff_ = DiffId(extracted.diff_id);
  staged.size_ = extracted.bytes;
  staged.implied_directories_ = std::move(extracted.implied_directories);
  return staged;
}

Result<std::vector<ChainId>> Layers::place(std::vector<Placement> layers, const HolderId& holder,
                                           Batch& batch) {
  std::vector<ChainId> ids;
  Impl::Coming coming;
  for (const auto& placement : layers) {
    const std::string& diff = placement.layer.diff_.str();
    ids.emplace_back(placement.parent.empty()
                         ? diff
                         : "sha256:" + sha256_hex(placement.parent.str() + " " + diff));
    RETURN_IF_ERROR(impl_->dress(placement, coming));
    coming[ids.back()] = &placement;
  }
  if (::syncfs(impl_->directory_fd.get()) != 0) return fail_errno("sync \"{}\"", impl_->directory);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    ASSIGN_OR_RETURN(auto in_the_way, impl_->take(layers[i], ids[i], holder));
    impl_->remove_quietly(in_the_way);
  }
  if (::fsync(impl_->directory_fd.get()) != 0)
    return fail_errno("sync directory \"{}\"", impl_->directory);
  RETURN_IF_ERROR(hold(holder, ids, &batch));
  return ids;
}

Status Layers::hold(const HolderId& holder, const std::vector<ChainId>& layers, Batch* batch) {
  std::lock_guard lock(impl_->mutex);
  for (const auto& id : layers) {
    auto known = impl_->layers.find(id);
    if (known == impl_->layers.end() || known->second.leaving)
      return fail(Code::kNotFound, "layer does not exist: {}", id);
  }
  for (const auto& id : layers) {
    auto& known = impl_->layers[id];
    known.holders.insert(holder);
    // Whoever placed it may not have committed yet, or may fail to.
    if (batch) batch->put(RecordKind::kLayer, id.str(), document_of(known.layer));
  }
  return {};
}

std::vector<ChainId> Layers::release(const HolderId& holder, Batch& batch) {
  std::lock_guard lock(impl_->mutex);
  std::vector<ChainId> unheld;
  for (auto& [id, known] : impl_->layers) {
    if (known.holders.erase(holder) == 0 || !known.holders.empty()) continue;
    known.leaving = true;
    batch.erase(RecordKind::kLayer, id.str());
    unheld.push_back(id);
  }
  return unheld;
}

void Layers::restore(const HolderId& holder, const std::vector<ChainId>& layers) {
  std::lock_guard lock(impl_->mutex);
  for (const auto& id : layers) {
    auto& known = impl_->layers.at(id);
    known.leaving = false;
    known.holders.insert(holder);
  }
  impl_->left.notify_all();
}

void Layers::discard(const std::vector<ChainId>& layers) {
  std::vector<std::string> gone;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& id : layers) {
      // Renamed under the lock: right after it the same layer may be placed anew.
      gone.push_back(impl_->move_away(impl_->path(id)));
      impl_->layers.erase(id);
    }
    impl_->left.notify_all();
  }
  for (const auto& path : gone) impl_->remove_quietly(path);
}

Status Layers::collect() {
  Batch batch;
  std::vector<ChainId> unheld;
  {
    std::lock_guard lock(impl_->mutex);
    for (auto& [id, known] : impl_->layers) {
      if (!known.holders.empty()) continue;
      known.leaving = true;
      batch.erase(RecordKind::kLayer, id.str());
      unheld.push_back(id);
    }
  }
  if (unheld.empty()) return {};
  RETURN_IF_ERROR(impl_->store->commit(std::move(batch)));
  discard(unheld);
  return {};
}

std::uint64_t Layers::total_size() const {
  std::lock_guard lock(impl_->mutex);
  std::uint64_t total = 0;
  for (const auto& [id, known] : impl_->layers) total += known.layer.size;
  return total;
}

std::size_t Layers::holders(const ChainId& id) const {
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->layers.find(id);
  return known == impl_->layers.end() ? 0 : known->second.holders.size();
}

}  // namespace holdfast
