#include "base/size_text.h"
#include "storage/driver/local/mount_options.h"
#include "storage/volume/volumes_impl.h"

// Taking volumes into use: their files are made reachable, and filled on first use (populate.cc).
namespace holdfast {

namespace {

// Says whose room it was that a fill didn't find.
Error explained(const Volume& volume, Error error) {
  auto limit = volume.driver == "local" ? size_limit(volume.options).value_or(0) : 0;
  if (error.code != Code::kResourceExhausted || limit == 0) return error;
  return std::move(error).wrap(fmt::format("volume \"{}\" is limited to {}", volume.name,
                                           bytes_size(static_cast<double>(limit))));
}

}  // namespace

// The volume's slot is held, and it is firm. A crash may forget a use of the last seconds: it is
// not worth a sync.
void Volumes::Impl::note_use(const VolumeName& name) {
  std::string row;
  {
    std::lock_guard lock(mutex);
    auto found = entries.find(name.str());
    if (found == entries.end() || !found->second.volume) return;
    found->second.last_used = now();
    row = VolumeRow{*found->second.volume, found->second.last_used}.to_json();
  }
  index.put_at_leisure(name.str(), std::move(row));
}

Result<MountedVolume> Volumes::mount(const VolumeName& name, const HolderId& holder,
                                     const HostPathJudge& judge) {
  auto turn = impl_->enter(name.str());
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
  std::string mountpoint = volume->mountpoint;
  auto mounted =
      impl_->drivers.find(volume->driver).and_then([&](VolumeDriver* driver) -> Result<UniqueFd> {
        RETURN_IF_ERROR(impl_->firm_up(*volume));
        ASSIGN_OR_RETURN(auto directory, impl_->directories.open_volume(name));
        ASSIGN_OR_RETURN(auto root, driver->mount(*volume, directory, holder, judge));
        if (!unfinished.empty()) RETURN_IF_ERROR(impl_->finish_fill(*volume, root, unfinished));
        mountpoint = driver->mountpoint(*volume, directory);
        return root;
      });
  if (mounted) {
    impl_->note_mountpoint(name, mountpoint);
    impl_->note_use(name);
    return MountedVolume{std::move(*mounted), std::move(mountpoint)};
  }
  if (impl_->is_remote(*volume)) impl_->settle_later(name.str());
  {
    std::lock_guard lock(impl_->mutex);
    auto& entry = impl_->entries[name.str()];
    if (added) entry.mounters.erase(holder);
    entry.unfinished_fill = unfinished;
  }
  return tl::unexpected(std::move(mounted).error().wrap(
      fmt::format("error while mounting volume '{}'", volume->mountpoint)));
}

Status Volumes::remount(const VolumeName& name, const HolderId& holder) {
  auto turn = impl_->slots.enter(name.str());
  VolumePtr volume;
  {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->entries.find(name.str());
    if (found == impl_->entries.end() || !found->second.volume) return no_such_volume(name);
    volume = found->second.volume;
    found->second.mounters.insert(holder);
  }
  RETURN_IF_ERROR(impl_->firm_up(*volume));
  ASSIGN_OR_RETURN(auto* driver, impl_->drivers.find(volume->driver));
  ASSIGN_OR_RETURN(auto directory, impl_->directories.open_volume(name));
  auto status = driver->remount(*volume, directory, holder);
  if (!status) return about("mount", name.str(), status.error());
  impl_->note_mountpoint(name, driver->mountpoint(*volume, directory));
  impl_->note_use(name);
  return {};
}

// A daemon that was killed while it started a container may have left it mounted for nobody.
void Volumes::Impl::unmount_unused(const VolumeName& name) {
  auto turn = slots.try_enter(name.str());  // else it is being used
  if (!turn) return;
  VolumePtr volume;
  {
    std::lock_guard lock(mutex);
    auto found = entries.find(name.str());
    if (found == entries.end() || !found->second.mounters.empty()) return;
    volume = found->second.volume;
  }
  if (!volume || is_remote(*volume)) return;
  auto driver = drivers.find(volume->driver);
  auto directory = directories.open_volume(name);
  if (driver && directory)
    static_cast<void>((*driver)->unmount(*volume, *directory, HolderId("nobody"), true));
}

Status Volumes::unmount(const VolumeName& name, const HolderId& holder) {
  auto turn = impl_->enter(name.str());
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
  impl_->note_use(name);
  if (impl_->is_remote(*volume)) return impl_->unmount_remote(std::move(turn), volume, holder);
  ASSIGN_OR_RETURN(auto* driver, impl_->drivers.find(volume->driver));
  ASSIGN_OR_RETURN(auto directory, impl_->directories.open_volume(name));
  auto status = driver->unmount(*volume, directory, holder, last);
  if (!status) return about("unmount", name.str(), status.error());
  return {};
}

Result<Volumes::Filled> Volumes::populate(const VolumeName& name, BorrowedFd source,
                                          const HostPathJudge& judge) {
  auto turn = impl_->enter(name.str());
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
  auto filled = impl_->fill(*volume, source, !mounted, unfinished, judge);
  if (!filled && impl_->is_remote(*volume)) impl_->settle_later(name.str());
  if (!filled)
    return about("populate volume", name.str(), explained(*volume, std::move(filled).error()));
  std::lock_guard lock(impl_->mutex);
  auto& entry = impl_->entries[name.str()];
  entry.unfinished_fill.clear();
  if (filled->filled) entry.size.reset();
  return filled;
}

}  // namespace holdfast
