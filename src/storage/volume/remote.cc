#include <poll.h>

#include <algorithm>

#include "base/random.h"
#include "storage/volume/volumes_impl.h"

// Volumes that somebody else keeps. Three things are different: what is on record may be gone, or
// there may be more; whoever keeps them may not answer; and what he couldn't be told must be told
// later.
namespace holdfast {
namespace {

VolumePtr unrecorded(const std::string& driver, const PluginVolume& theirs) {
  Volume volume;
  volume.name = VolumeName(theirs.name);
  volume.driver = driver;
  volume.created = theirs.created.value_or(Time{});
  volume.mountpoint = theirs.mountpoint;
  return std::make_shared<const Volume>(std::move(volume));
}

bool by_name(const Volumes::Listed& a, const Volumes::Listed& b) {
  return a.volume->name < b.volume->name;
}

// A wait that ends early when the daemon stops.
void pause(const Cancellation& stopping, std::chrono::milliseconds time) {
  pollfd stop = {stopping.fd().get(), POLLIN, 0};
  ::poll(&stop, 1, static_cast<int>(time.count()));
}

}  // namespace

bool Volumes::Impl::is_remote(const Volume& volume) {
  auto driver = drivers.find(volume.driver);
  return driver && (*driver)->is_remote();
}

// Where a volume's files are before anybody has asked its driver.
std::string Volumes::Impl::first_mountpoint(const Volume& volume) {
  return is_remote(volume) ? std::string() : directories.mountpoint(volume.name);
}

// Waiting for the turn of a volume may be waiting for its plugin.
OperationSlots::Turn Volumes::Impl::enter(const std::string& name) {
  auto volume = find(VolumeName(name));
  if (!volume || !is_remote(**volume)) return slots.enter(name);
  ThreadPool::OutsideWait outside;
  return slots.enter(name);
}

// Before a volume on record is used again: its plugin may have it no more, because it was removed
// there or the plugin has lost its memory. Where nothing else is asked for, it is made there again
// as it was recorded; else the record goes, if nobody holds it, and the name is free. The volume's
// slot is held.
Status Volumes::Impl::reconcile_with_plugin(const VolumeSpec& spec) {
  VolumeName name(spec.name);
  auto volume = find(name);
  if (!volume || !is_remote(**volume)) return {};
  const auto& ours = **volume;
  ASSIGN_OR_RETURN(auto* driver, drivers.find(ours.driver));
  auto sight = driver->look(ours);
  if (!sight)
    return fail(
        sight.error().code,
        "found reference to volume '{}' in driver '{}', but got an error while checking the "
        "driver: {}",
        name, ours.driver, sight.error().message);
  if (!sight->gone) return {};
  bool same = (spec.driver.empty() || spec.driver == ours.driver) &&
              (spec.options.empty() || spec.options == ours.options);
  if (!same) return forget(name);
  ASSIGN_OR_RETURN(auto directory, directories.open_volume(name));
  return driver->create(ours, directory);
}

// Removes the record of a volume that its driver has no more.
Status Volumes::Impl::forget(const VolumeName& name) {
  ASSIGN_OR_RETURN(auto volume, find(name));
  auto going = begin_removal(name);
  if (!going && going.error().code == Code::kConflict)
    return fail(
        Code::kConflict,
        "found references to volume '{}' in driver '{}' but the volume was not found in the "
        "driver -- you may need to remove containers referencing this volume or force "
        "remove the volume to re-create it",
        name, volume->driver);
  if (!going) return tl::unexpected(std::move(going).error());
  return take_away(*going, true, true);
}

// Puts a volume on record that only a plugin has; null if none has it. The slot is held.
Result<VolumePtr> Volumes::Impl::take_from_plugin(const VolumeName& name) {
  if (!check_volume_name(name.str())) return VolumePtr();
  auto found = drivers.plugins().find_volume(name);
  if (!found) return VolumePtr();
  RETURN_IF_ERROR(check_health());
  Volume volume;
  volume.id = random_hex(32);
  volume.name = name;
  volume.driver = found->driver;
  volume.created = found->volume.created.value_or(now());
  RETURN_IF_ERROR(make_firm(volume, true));
  return publish(std::move(volume), {});
}

// What inspect shows. A published volume is never changed: another takes its place.
void Volumes::Impl::note_mountpoint(const VolumeName& name, const std::string& mountpoint) {
  std::lock_guard lock(mutex);
  auto found = entries.find(name.str());
  if (found == entries.end() || !found->second.volume) return;
  auto& volume = found->second.volume;
  if (volume->mountpoint == mountpoint) return;
  Volume changed = *volume;
  changed.mountpoint = mountpoint;
  volume = std::make_shared<const Volume>(std::move(changed));
}

// In a thread of its own, so that the end of a container doesn't wait for a plugin for long; the
// slot stays taken meanwhile.
Status Volumes::Impl::unmount_remote(OperationSlots::Turn turn, const VolumePtr& volume,
                                     const HolderId& holder) {
  struct Outcome {
    std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    std::optional<Status> status;
  };
  auto outcome = std::make_shared<Outcome>();
  auto held = std::make_shared<OperationSlots::Turn>(std::move(turn));
  auto work = [this, volume, holder, outcome, held]() mutable {
    auto status = [&]() -> Status {
      ASSIGN_OR_RETURN(auto* driver, drivers.find(volume->driver));
      ASSIGN_OR_RETURN(auto directory, directories.open_volume(volume->name));
      auto told = driver->unmount(*volume, directory, holder, false);
      note_mountpoint(volume->name, driver->mountpoint(*volume, directory));
      return told;
    }();
    if (!status) settle_later(volume->name.str());
    held.reset();
    std::lock_guard lock(outcome->mutex);
    outcome->status = std::move(status);
    outcome->changed.notify_all();
  };
  auto& plugins = drivers.plugins();
  if (plugins.stopping().cancelled())
    work();
  else
    plugins.errands().submit(std::move(work));
  held.reset();
  ThreadPool::OutsideWait outside;
  std::unique_lock lock(outcome->mutex);
  outcome->changed.wait_for(lock, plugins.deadlines().unmount_patience,
                            [&] { return outcome->status.has_value(); });
  if (!outcome->status)
    return fail(Code::kDeadlineExceeded, "unmount {}: plugin \"{}\" is still at it", volume->name,
                volume->driver);
  if (!*outcome->status) return about("unmount", volume->name.str(), outcome->status->error());
  return {};
}

void Volumes::Impl::settle_later(const std::string& name) {
  std::lock_guard lock(mutex);
  unsettled.insert(name);
  if (std::exchange(settling, true)) return;
  drivers.plugins().errands().submit([this] { settle_all(); });
}

// Tries again and again what plugins couldn't be told, until nothing is left.
void Volumes::Impl::settle_all() {
  const auto& plugins = drivers.plugins();
  while (true) {
    std::set<std::string> names;
    {
      std::lock_guard lock(mutex);
      settling = !unsettled.empty();
      if (!settling) return;
      names = unsettled;
    }
    std::set<std::string> silent;
    for (const auto& name : names) {
      if (plugins.stopping().cancelled()) return;
      if (!settle(name, silent)) continue;
      std::lock_guard lock(mutex);
      unsettled.erase(name);
    }
    pause(plugins.stopping(), plugins.deadlines().retry);
  }
}

// True if there is nothing left to tell. `silent`: plugins that didn't answer this time around.
bool Volumes::Impl::settle(const std::string& name, std::set<std::string>& silent) {
  auto turn = slots.try_enter(name);
  if (!turn) return false;
  VolumePtr volume;
  std::set<HolderId> mounters;
  {
    std::lock_guard lock(mutex);
    auto found = entries.find(name);
    if (found == entries.end() || !found->second.volume) return true;
    volume = found->second.volume;
    mounters = found->second.mounters;
  }
  auto driver = drivers.find(volume->driver);
  if (!driver || silent.contains(volume->driver)) return !driver;
  auto directory = directories.open_volume(volume->name);
  if (!directory) return true;
  auto settled = (*driver)->settle(*volume, *directory, mounters);
  if (!settled) silent.insert(volume->driver);
  return settled && *settled;
}

void Volumes::start_background() {
  for (const auto& volume : list()) {
    if (impl_->is_remote(*volume)) impl_->settle_later(volume->name.str());
  }
  std::vector<VolumeName> unfinished, unused;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& [name, entry] : impl_->entries) {
      if (entry.unfinished_update) unfinished.emplace_back(name);
      bool may_be_mounted = entry.volume && !entry.volume->options.empty();
      if (may_be_mounted && entry.mounters.empty() && impl_->holders_known)
        unused.emplace_back(name);
    }
  }
  for (const auto& name : unfinished)
    impl_->janitors.submit([impl = impl_.get(), name] { impl->finish_update(name); });
  if (unused.empty()) return;
  impl_->janitors.submit([impl = impl_.get(), unused] {
    for (const auto& name : unused)
      if (!impl->stopping) impl->unmount_unused(name);
  });
}

void Volumes::interrupt() { impl_->drivers.plugins().interrupt(); }

const std::string& Volumes::Listing::scope_of(const Volume& volume) const {
  static const std::string kLocal = "local";
  auto found = scopes.find(volume.driver);
  return found == scopes.end() ? kLocal : found->second;
}

Volumes::Listing Volumes::list_all() {
  Listing all{list_with_holders(), {}, {}};
  auto& ours = all.volumes;
  std::vector<Listed> more;
  for (auto& listing : impl_->drivers.plugins().list()) {
    all.scopes[listing.driver] = listing.scope;
    if (!listing.problem.empty())
      all.warnings.push_back(fmt::format("list {}: {}", listing.driver, listing.problem));
    std::set<std::string> theirs;
    for (const auto& volume : listing.volumes) {
      theirs.insert(volume.name);
      Listed shown{unrecorded(listing.driver, volume)};
      auto found = std::lower_bound(ours.begin(), ours.end(), shown, by_name);
      if (found == ours.end() || found->volume->name != shown.volume->name) {
        more.push_back(std::move(shown));
      } else if (found->volume->driver == listing.driver && !volume.mountpoint.empty()) {
        Volume seen = *found->volume;
        seen.mountpoint = volume.mountpoint;
        found->volume = std::make_shared<const Volume>(std::move(seen));
      }
    }
    if (!listing.complete) continue;
    std::erase_if(ours, [&](const Listed& one) {
      return one.volume->driver == listing.driver && !theirs.contains(one.volume->name.str()) &&
             one.holders == 0;
    });
  }
  if (more.empty()) return all;
  ours.insert(ours.end(), more.begin(), more.end());
  std::stable_sort(ours.begin(), ours.end(), by_name);
  auto same = [](const Listed& a, const Listed& b) { return a.volume->name == b.volume->name; };
  ours.erase(std::unique(ours.begin(), ours.end(), same), ours.end());
  return all;
}

Result<Volumes::Look> Volumes::look(const VolumeName& name) {
  auto volume = impl_->find(name);
  if (!volume && !check_volume_name(name.str())) return tl::unexpected(std::move(volume).error());
  if (!volume) {
    auto found = impl_->drivers.plugins().find_volume(name);
    if (!found) return tl::unexpected(std::move(volume).error());
    VolumeSight sight;
    sight.mountpoint = found->volume.mountpoint;
    sight.scope = impl_->drivers.plugins().driver(found->driver).client().scope();
    sight.status = found->volume.status;
    Look unknown;
    unknown.volume = unrecorded(found->driver, found->volume);
    unknown.sight = std::move(sight);
    return unknown;
  }
  Look seen;
  seen.volume = *volume;
  {
    std::lock_guard lock(impl_->mutex);
    if (auto entry = impl_->entries.find(name.str()); entry != impl_->entries.end()) {
      auto users = entry->second.users();
      seen.holders.assign(users.begin(), users.end());
      seen.last_used = entry->second.last_used;
    }
  }
  ASSIGN_OR_RETURN(auto* driver, impl_->drivers.find((*volume)->driver));
  auto sight = driver->look(**volume);
  if (!sight) {
    seen.sight.mountpoint = seen.volume->mountpoint;
    seen.problem = std::move(sight).error().message;
    return seen;
  }
  if (sight->gone) return no_such_volume(name);
  seen.sight = std::move(*sight);
  if (driver->is_remote()) return seen;
  if (auto directory = impl_->directories.open_volume(name))
    seen.sight.status = driver->status(*seen.volume, *directory);
  else
    seen.problem = std::move(directory).error().message;
  return seen;
}

std::vector<std::string> Volumes::drivers() const { return impl_->drivers.names(); }

std::vector<PluginState> Volumes::plugins() { return impl_->drivers.plugins().states(); }

}  // namespace holdfast
