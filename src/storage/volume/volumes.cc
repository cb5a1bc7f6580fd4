#include "storage/volume/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/random.h"
#include "storage/copy/tree_remove.h"
#include "storage/copy/tree_size.h"
#include "storage/volume/volumes_impl.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kSizeIsFresh(5);

// Docker puts the verb and the name in front of what a volume operation
// reports.
tl::unexpected<Error> about(const char* verb, const std::string& name, const Error& error) {
  return tl::unexpected(error.wrap(fmt::format("{} {}", verb, name)));
}

tl::unexpected<Error> no_such_volume(const VolumeName& name) {
  return fail(Code::kNotFound, "get {}: no such volume", name);
}

std::string join(const std::set<HolderId>& holders, const std::set<HolderId>& mounters) {
  auto all = holders;
  all.insert(mounters.begin(), mounters.end());
  std::string text;
  for (const auto& holder : all) text += (text.empty() ? "" : ", ") + holder.str();
  return text;
}

Volume new_volume(const VolumeSpec& spec) {
  Volume volume;
  volume.id = random_hex(32);
  volume.name = VolumeName(spec.name);
  volume.driver = spec.driver.empty() ? "local" : spec.driver;
  volume.options = spec.options;
  volume.labels = spec.labels;
  volume.created = now();
  return volume;
}

}  // namespace

Result<VolumeDriver*> Volumes::Impl::driver(const std::string& name) {
  if (name == "local") return &local;
  return fail(Code::kNotFound, "error looking up volume plugin {}: plugin \"{}\" not found", name,
              name);
}

Result<VolumePtr> Volumes::Impl::find(const VolumeName& name) const {
  std::lock_guard lock(mutex);
  auto found = entries.find(name.str());
  if (found == entries.end() || !found->second.volume || found->second.going)
    return no_such_volume(name);
  return found->second.volume;
}

Status Volumes::Impl::check_health() const {
  if (sync_failed)
    return fail(Code::kDataLoss,
                "writing to \"{}\" failed earlier; nothing is changed until "
                "its disk has been "
                "checked and the daemon restarted",
                directories.root);
  if (auto failure = index.failure()) return tl::unexpected(std::move(*failure));
  return {};
}

Status Volumes::Impl::noted(Status sync) {
  if (!sync && sync.error().code != Code::kResourceExhausted) sync_failed = true;
  return sync;
}

// --- create ---

// Looks the name up; `absent` tells that there is none and it may be made.
Result<Volumes::Created> Volumes::Impl::existing(const VolumeSpec& spec,
                                                 const std::optional<HolderId>& holder,
                                                 bool& absent) {
  absent = false;
  std::lock_guard lock(mutex);
  auto found = entries.find(spec.name);
  if (found == entries.end() || !found->second.volume) {
    absent = true;
    return Volumes::Created{nullptr, false};
  }
  auto& entry = found->second;
  if (!spec.driver.empty() && spec.driver != entry.volume->driver)
    return fail(Code::kConflict, "driver '{}' already has volume '{}': volume name must be unique",
                entry.volume->driver, spec.name);
  if (holder) entry.holders.insert(*holder);
  return Volumes::Created{entry.volume, true};
}

// Lays the volume out in staging/.
Status Volumes::Impl::build(const Volume& volume, const std::string& staged, UniqueFd& sidecar) {
  ASSIGN_OR_RETURN(auto* by, driver(volume.driver));
  if (::mkdirat(directories.staging.get(), staged.c_str(), 0700) != 0)
    return fail_errno("mkdir \"{}/staging/{}\"", directories.root, staged);
  ASSIGN_OR_RETURN(auto directory,
                   open_file_at(directories.staging, staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  RETURN_IF_ERROR(by->create(volume, directory));
  ASSIGN_OR_RETURN(sidecar, open_file_at(directory, layout::kSidecar,
                                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(write_all(sidecar, volume.to_json()));
  if (directories.ordered_journal) return {};
  if (::fsync(sidecar.get()) != 0) return fail_errno("sync volume record");
  return sync_fd(directory, "volume directory");
}

// Crash points: before the rename there is only something in staging/, which
// open() sweeps. After it the volume is there, with or without its row in the
// store, which open() adds; a power cut that kept the rename but not the
// sidecar's bytes leaves a directory with an empty record and no files, which
// open() takes away: nobody was told of that volume yet.
Status Volumes::Impl::move_in(const Volume& volume, const std::string& staged, BorrowedFd sidecar) {
  if (::renameat2(directories.staging.get(), staged.c_str(), directories.volumes.get(),
                  volume.name.str().c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST)
      return fail(Code::kConflict,
                  "\"{}/volumes/{}\" exists and is no volume holdfast knows; "
                  "move it away first",
                  directories.root, volume.name);
    return fail_errno("rename to \"{}/volumes/{}\"", directories.root, volume.name);
  }
  Status synced;
  if (directories.ordered_journal) {
    // One sync for all of it: a change of the sidecar later than the rename is
    // in the journal behind the rename, so when it is safe everything before it
    // is.
    timespec now_twice[] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    if (::futimens(sidecar.get(), now_twice) != 0) synced = fail_errno("touch volume record");
    if (synced) synced = sync_fd(sidecar, "volume record");
  } else {
    synced = sync_fd(directories.volumes, "volumes directory");
  }
  if (!synced)
    ::renameat(directories.volumes.get(), volume.name.str().c_str(), directories.staging.get(),
               staged.c_str());
  return noted(std::move(synced));
}

Status Volumes::Impl::make(const Volume& volume) {
  std::string staged = layout::kVolumePrefix + volume.id;
  UniqueFd sidecar;
  auto made = build(volume, staged, sidecar);
  if (made) made = move_in(volume, staged, sidecar);
  if (!made) delete_staged(staged);
  return made;
}

Result<Volumes::Created> Volumes::create(const VolumeSpec& given,
                                         const std::optional<HolderId>& holder) {
  VolumeSpec spec = given;
  if (spec.name.empty()) {
    spec.name = random_hex(64);
    spec.labels.emplace(kAnonymousLabel, "");
  }
  auto fail_create = [&](const Error& error) { return about("create", spec.name, error); };
  if (auto status = check_volume_name(spec.name); !status) return fail_create(status.error());
  if (!spec.driver.empty()) {
    if (auto known = impl_->driver(spec.driver); !known) return fail_create(known.error());
  }
  bool absent = false;
  auto turn = impl_->slots.enter(spec.name);
  auto found = impl_->existing(spec, holder, absent);
  if (!found) return fail_create(found.error());
  if (!absent) return found;
  auto volume = new_volume(spec);
  auto status = impl_->check_health();
  if (status)
    status = impl_->driver(volume.driver).and_then([&](VolumeDriver* driver) {
      return driver->check(volume);
    });
  if (status) status = impl_->make(volume);
  if (!status) return fail_create(status.error());
  std::string document = volume.to_json();
  volume.mountpoint = impl_->directories.mountpoint(volume.name);
  auto published = std::make_shared<const Volume>(std::move(volume));
  {
    std::lock_guard lock(impl_->mutex);
    auto& entry = impl_->entries[spec.name];
    entry.volume = published;
    if (holder) entry.holders.insert(*holder);
  }
  impl_->index.put(spec.name, std::move(document));
  return Created{std::move(published), false};
}

// --- looking ---

const std::vector<std::string>& Volumes::warnings() const { return impl_->warnings; }

Result<VolumePtr> Volumes::get(const VolumeName& name) const { return impl_->find(name); }

std::vector<VolumePtr> Volumes::list() const {
  std::vector<VolumePtr> volumes;
  std::lock_guard lock(impl_->mutex);
  volumes.reserve(impl_->entries.size());
  for (const auto& [name, entry] : impl_->entries) {
    if (entry.volume && !entry.going) volumes.push_back(entry.volume);
  }
  return volumes;
}

std::optional<std::uint64_t> Volumes::size(const VolumeName& name,
                                           std::chrono::milliseconds budget) {
  Impl* impl = impl_.get();
  std::unique_lock lock(impl->mutex);
  auto entry = [&]() -> VolumeEntry* {
    auto found = impl->entries.find(name.str());
    return found == impl->entries.end() || !found->second.volume ? nullptr : &found->second;
  };
  auto* seen = entry();
  if (!seen) return std::nullopt;
  auto started = std::chrono::steady_clock::now();
  if (seen->size && started - seen->size_known_at < kSizeIsFresh) return seen->size;
  if (!std::exchange(seen->measuring, true)) {
    std::string path = seen->volume->mountpoint;
    impl->janitors.submit([impl, name, path] {
      auto directory = open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      auto bytes = directory ? tree_size(*directory, &impl->stopping)
                             : Result<std::uint64_t>(tl::unexpected(directory.error()));
      std::lock_guard done(impl->mutex);
      if (auto found = impl->entries.find(name.str()); found != impl->entries.end()) {
        found->second.measuring = false;
        found->second.size = bytes ? std::optional(*bytes) : std::nullopt;
        found->second.size_known_at = std::chrono::steady_clock::now();
      }
      impl->measured.notify_all();
    });
  }
  impl->measured.wait_until(lock, started + budget, [&] {
    auto* now_there = entry();
    return !now_there || !now_there->measuring;
  });
  auto* measured = entry();
  // Past the budget an older count is better than none.
  return measured ? measured->size : std::nullopt;
}

// --- holders ---

Status Volumes::hold(const VolumeName& name, const HolderId& holder) {
  std::lock_guard lock(impl_->mutex);
  auto& entry = impl_->entries[name.str()];
  if (entry.going) return no_such_volume(name);
  entry.holders.insert(holder);
  if (!entry.volume) return no_such_volume(name);
  return {};
}

void Volumes::release(const VolumeName& name, const HolderId& holder) {
  std::lock_guard lock(impl_->mutex);
  auto found = impl_->entries.find(name.str());
  if (found == impl_->entries.end()) return;
  found->second.holders.erase(holder);
  if (!found->second.volume && !found->second.in_use()) impl_->entries.erase(found);
}

std::vector<HolderId> Volumes::holders(const VolumeName& name) const {
  std::lock_guard lock(impl_->mutex);
  auto found = impl_->entries.find(name.str());
  if (found == impl_->entries.end()) return {};
  auto all = found->second.holders;
  all.insert(found->second.mounters.begin(), found->second.mounters.end());
  return {all.begin(), all.end()};
}

void Volumes::holders_restored() {
  std::lock_guard lock(impl_->mutex);
  impl_->holders_known = true;
}

// --- remove ---

// From here on nobody can take the volume into use; end_removal() must follow.
Result<VolumePtr> Volumes::Impl::begin_removal(const VolumeName& name) {
  RETURN_IF_ERROR(check_health());
  std::lock_guard lock(mutex);
  auto found = entries.find(name.str());
  if (found == entries.end() || !found->second.volume) return no_such_volume(name);
  auto& entry = found->second;
  if (!holders_known)
    return fail(Code::kUnavailable,
                "remove {}: who uses volumes is not known yet, the daemon is "
                "still starting",
                name);
  if (entry.in_use())
    return fail(Code::kConflict, "remove {}: volume is in use - [{}]", name,
                join(entry.holders, entry.mounters));
  entry.going = true;
  return entry.volume;
}

void Volumes::Impl::end_removal(const VolumeName& name, bool removed) {
  std::lock_guard lock(mutex);
  if (removed)
    entries.erase(name.str());
  else
    entries[name.str()].going = false;
  measured.notify_all();
}

Status Volumes::remove(const VolumeName& name, bool force) {
  auto turn = impl_->slots.enter(name.str());
  ASSIGN_OR_RETURN(auto volume, impl_->begin_removal(name));
  auto moved = impl_->move_to_trash(*volume, force);
  auto status = moved ? impl_->sync_removals() : Status(tl::unexpected(moved.error()));
  if (moved && !status) impl_->take_back(*volume, *moved);
  impl_->end_removal(name, status.has_value());
  if (!status) return about("remove", name.str(), status.error());
  impl_->discard(*volume, *moved);
  return {};
}

std::vector<VolumePtr> Volumes::prune_candidates(
    const std::function<bool(const Volume&)>& wanted) const {
  std::vector<VolumePtr> candidates;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->holders_known) return candidates;
    for (const auto& [name, entry] : impl_->entries) {
      if (entry.volume && !entry.going && !entry.in_use()) candidates.push_back(entry.volume);
    }
  }
  std::erase_if(candidates, [&](const VolumePtr& volume) { return !wanted(*volume); });
  return candidates;
}

Result<Volumes::Pruned> Volumes::prune(const std::function<bool(const Volume&)>& wanted) {
  RETURN_IF_ERROR(impl_->check_health());
  struct Going {
    VolumePtr volume;
    std::string trash_id;
    OperationSlots::Turn turn;
  };
  std::vector<Going> going;
  Pruned report;
  for (const auto& candidate : prune_candidates(wanted)) {
    // Somebody is at work on it: it is not unused.
    auto turn = impl_->slots.try_enter(candidate->name.str());
    if (!turn) continue;
    auto volume = impl_->begin_removal(candidate->name);
    if (!volume) continue;
    // It may have been made anew since it was judged.
    if (!wanted(**volume)) {
      impl_->end_removal(candidate->name, false);
      continue;
    }
    std::uint64_t bytes = 0;
    if (auto directory = open_file((*volume)->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
      bytes = tree_size(*directory).value_or(0);
    auto moved = impl_->move_to_trash(**volume, false);
    if (!moved) {
      impl_->end_removal(candidate->name, false);
      report.failures.push_back(
          fmt::format("remove {}: {}", candidate->name, moved.error().message));
      continue;
    }
    report.bytes += bytes;
    going.push_back({std::move(*volume), std::move(*moved), std::move(*turn)});
  }
  auto synced = going.empty() ? Status{} : impl_->sync_removals();
  for (auto& one : going) {
    if (!synced) impl_->take_back(*one.volume, one.trash_id);
    impl_->end_removal(one.volume->name, synced.has_value());
    if (!synced) continue;
    impl_->discard(*one.volume, one.trash_id);
    report.removed.push_back(std::move(one.volume));
  }
  if (!synced) return about("prune", "volumes", synced.error());
  return report;
}

// --- mount ---

Result<MountedVolume> Volumes::mount(const VolumeName& name, const HolderId& holder) {
  auto turn = impl_->slots.enter(name.str());
  VolumePtr volume;
  bool added = false;
  std::string unfinished;
  {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->entries.find(name.str());
    if (found == impl_->entries.end() || !found->second.volume) return no_such_volume(name);
    volume = found->second.volume;
    added = found->second.mounters.insert(holder).second;
    unfinished = std::exchange(found->second.unfinished_fill, {});
  }
  auto mounted =
      impl_->driver(volume->driver).and_then([&](VolumeDriver* driver) -> Result<UniqueFd> {
        ASSIGN_OR_RETURN(auto directory, impl_->directories.open_volume(name));
        ASSIGN_OR_RETURN(auto root, driver->mount(*volume, directory, holder));
        if (!unfinished.empty()) RETURN_IF_ERROR(impl_->finish_fill(root, unfinished));
        return root;
      });
  if (mounted) return MountedVolume{std::move(*mounted), volume->mountpoint};
  {
    std::lock_guard lock(impl_->mutex);
    auto& entry = impl_->entries[name.str()];
    if (added) entry.mounters.erase(holder);
    entry.unfinished_fill = unfinished;
  }
  return tl::unexpected(std::move(mounted).error().wrap(
      fmt::format("error while mounting volume '{}'", volume->mountpoint)));
}

Status Volumes::unmount(const VolumeName& name, const HolderId& holder) {
  auto turn = impl_->slots.enter(name.str());
  VolumePtr volume;
  bool last = false;
  {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->entries.find(name.str());
    if (found == impl_->entries.end() || found->second.mounters.erase(holder) == 0) return {};
    volume = found->second.volume;
    last = found->second.mounters.empty();
  }
  if (!volume) return {};
  ASSIGN_OR_RETURN(auto* driver, impl_->driver(volume->driver));
  ASSIGN_OR_RETURN(auto directory, impl_->directories.open_volume(name));
  auto status = driver->unmount(*volume, directory, holder, last);
  if (!status) return about("unmount", name.str(), status.error());
  return {};
}

// --- populate ---

Result<bool> Volumes::populate(const VolumeName& name, BorrowedFd source) {
  auto turn = impl_->slots.enter(name.str());
  VolumePtr volume;
  bool mounted = false;
  std::string unfinished;
  {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->entries.find(name.str());
    if (found == impl_->entries.end() || !found->second.volume) return no_such_volume(name);
    volume = found->second.volume;
    mounted = !found->second.mounters.empty();
    unfinished = found->second.unfinished_fill;
  }
  RETURN_IF_ERROR(impl_->check_health());
  auto filled = impl_->fill(*volume, source, !mounted, unfinished);
  if (!filled) return about("populate volume", name.str(), filled.error());
  std::lock_guard lock(impl_->mutex);
  auto& entry = impl_->entries[name.str()];
  entry.unfinished_fill.clear();
  if (*filled) entry.size.reset();
  return filled;
}

// --- life ---

Volumes::Volumes(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Volumes::~Volumes() {
  // A commit may hand trash to the janitors, never the other way round.
  if (auto status = impl_->index.flush(); !status) {
    // What is not in the index yet is found by recovery.
  }
  impl_->committers.stop();
  impl_->stopping = true;
  impl_->janitors.stop();
}

Result<std::unique_ptr<Volumes>> Volumes::open(const std::string& data_root, Store& store) {
  ASSIGN_OR_RETURN(auto directories, VolumeDirectories::open(data_root));
  auto impl = std::make_unique<Impl>(std::move(directories), store);
  RETURN_IF_ERROR(impl->recover());
  return std::unique_ptr<Volumes>(new Volumes(std::move(impl)));
}

}  // namespace holdfast
