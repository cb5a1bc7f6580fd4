#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "storage/copy/directory_reader.h"
#include "storage/volume/volumes_impl.h"

// Fresh volumes: those whose rows are all that is sure to be on the disk (creation.cc). Nobody has
// used one yet, so that nothing is in it. It becomes firm, and its directory and sidecar what
// counts, in three steps:
//
//   1. the sidecar is written
//   2. all of it is synced
//   3. the row loses its mark, some time later
//
// Crash points: until 3 open() makes of it what is missing, and firms it up again; after 2 nothing
// is, and it may have been used: what an earlier daemon left fresh is firmed up before it is
// removed. Of another the removal takes the row first (trash.cc).
namespace holdfast {
namespace {

// Many that are made together share one sync, which nobody waits for.
constexpr std::chrono::seconds kPatience(2);

}  // namespace

Result<UniqueFd> write_sidecar(BorrowedFd directory, const Volume& volume) {
  ASSIGN_OR_RETURN(auto sidecar, open_file_at(directory, layout::kSidecar,
                                              O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(write_all(sidecar, volume.to_json()));
  return sidecar;
}

bool Volumes::Impl::is_recovered(const VolumeName& name) const {
  std::lock_guard lock(mutex);
  auto found = entries.find(name.str());
  return found != entries.end() && found->second.fresh && found->second.recovered;
}

bool Volumes::Impl::is_fresh(const VolumeName& name) const {
  std::lock_guard lock(mutex);
  auto found = entries.find(name.str());
  return found != entries.end() && found->second.fresh;
}

// Before it is used or changed. The volume's slot is held.
Status Volumes::Impl::firm_up(const Volume& volume) {
  if (!is_fresh(volume.name)) return {};
  RETURN_IF_ERROR(check_health());
  ASSIGN_OR_RETURN(auto found, directories.open_volume(volume.name));
  ASSIGN_OR_RETURN(auto directory, open_directory(found, ""));
  ASSIGN_OR_RETURN(auto sidecar, write_sidecar(directory, volume));
  RETURN_IF_ERROR(noted(sync_fd(sidecar, "volume record")));
  if (!directories.ordered_journal) {
    ASSIGN_OR_RETURN(auto files, open_directory(directory, layout::kData));
    RETURN_IF_ERROR(noted(sync_fd(files, "files of the volume")));
    RETURN_IF_ERROR(noted(sync_fd(directory, "volume directory")));
    RETURN_IF_ERROR(noted(sync_fd(directories.volumes, "volumes directory")));
  }
  note_firm(volume);
  return {};
}

void Volumes::Impl::note_firm(const Volume& volume) {
  VolumeRow row{volume, {}};
  {
    std::lock_guard lock(mutex);
    auto& entry = entries[volume.name.str()];
    entry.fresh = false;
    row.last_used = entry.last_used;
  }
  index.put_at_leisure(volume.name.str(), row.to_json());
}

// `mutex` is held.
void Volumes::Impl::firm_up_later(const std::string& name) {
  fresh_names.push_back(name);
  if (std::exchange(firming, true)) return;
  firmers.submit([this] { firm_up_queued(); });
}

void Volumes::Impl::firm_up_queued() {
  std::unique_lock lock(mutex);
  while (!fresh_names.empty()) {
    woken.wait_for(lock, kPatience, [&] { return stopping.load(); });
    if (stopping) return;
    std::vector<std::string> names;
    names.swap(fresh_names);
    lock.unlock();
    auto left = firm_up_together(names);
    lock.lock();
    fresh_names.insert(fresh_names.end(), left.begin(), left.end());
  }
  firming = false;
}

// Those that somebody is at work on, or whose sync failed, are left.
std::vector<std::string> Volumes::Impl::firm_up_together(const std::vector<std::string>& names) {
  std::vector<std::string> left;
  std::vector<VolumePtr> written;
  auto with_fresh = [&](const std::string& name,
                        const std::function<bool(const VolumePtr&)>& work) {
    auto turn = slots.try_enter(name);
    auto volume = find(VolumeName(name));
    if (!turn || (volume && is_fresh(VolumeName(name)) && !work(*volume))) left.push_back(name);
  };
  for (const auto& name : names) {
    with_fresh(name, [&](const VolumePtr& volume) {
      auto directory = open_directory(directories.volumes, name.c_str());
      if (!directory || !write_sidecar(*directory, *volume)) return false;
      written.push_back(volume);
      return true;
    });
  }
  bool synced = written.empty() || ::syncfs(directories.volumes.get()) == 0;
  for (const auto& volume : written) {
    with_fresh(volume->name.str(), [&](const VolumePtr& now) {
      if (!synced || now->id != volume->id) return false;
      note_firm(*now);
      return true;
    });
  }
  return left;
}

// What open() does about them, before names and rows are compared.
void Volumes::Impl::remake_fresh() {
  for (auto& [name, entry] : entries) {
    if (!entry.fresh) continue;
    entry.recovered = true;
    // Where this fails, what follows says so.
    ::mkdirat(directories.volumes.get(), name.c_str(), 0700);
    if (auto made = lay_out(*entry.volume); !made)
      warnings.push_back(fmt::format("volume \"{}\": {}", name, made.error().message));
  }
}

void Volumes::Impl::resume_firming() {
  std::lock_guard lock(mutex);
  for (const auto& [name, entry] : entries)
    if (entry.fresh) firm_up_later(name);
}

}  // namespace holdfast
