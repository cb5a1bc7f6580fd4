#include <fcntl.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "storage/volume/volumes_impl.h"

// How a volume's record changes. Its sidecar is what counts, but a start doesn't read it where the
// table has a row, so a row must never be older than the sidecar unless an intent says so:
//
//   1. the intent, with the new record, is committed
//   2. the driver makes the new options hold
//   3. the sidecar is replaced: a file in staging/, synced, renamed over it; directory synced
//   4. the new row and the end of the intent are committed together
//
// Crash points: before 1 nothing has happened. From 1 on open() takes the sidecar's word in place
// of the row's: the old record before 3, the new one after it. Between 2 and 3 the driver may have
// what the record doesn't say; start_background() goes on from 2 then, and where the driver refuses
// the old record stays. Nobody was told of either before 4.
namespace holdfast {
namespace {

constexpr std::string_view kIntentPrefix = "volume-update/";

std::string intent_key(const Volume& volume) { return std::string(kIntentPrefix) + volume.id; }

using Changes = std::map<std::string, std::optional<std::string>>;

void apply(const Changes& changes, std::map<std::string, std::string>& map) {
  for (const auto& [key, value] : changes) {
    if (value)
      map[key] = *value;
    else
      map.erase(key);
  }
}

Status check_keys(const char* what, const Changes& changes) {
  if (changes.contains(""))
    return fail(Code::kInvalidArgument, "invalid {}: its name is empty", what);
  return {};
}

}  // namespace

// Crash-safe: whoever reads it sees the old record or the new one. Durable on return.
Status Volumes::Impl::replace_sidecar(BorrowedFd directory, const Volume& volume) {
  std::string staged = layout::kVolumePrefix + random_hex(32);
  auto work = [&]() -> Status {
    ASSIGN_OR_RETURN(auto file, open_file_at(directories.staging, staged,
                                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    RETURN_IF_ERROR(write_all(file, volume.to_json()));
    RETURN_IF_ERROR(noted(sync_fd(file, "volume record")));
    ASSIGN_OR_RETURN(auto readable, open_file_at(directory, ".", O_RDONLY | O_DIRECTORY));
    if (::renameat(directories.staging.get(), staged.c_str(), readable.get(), layout::kSidecar) !=
        0)
      return fail_errno("replace the record of volume \"{}\"", volume.name);
    return noted(sync_fd(readable, "volume directory"));
  };
  auto status = work();
  if (!status) ::unlinkat(directories.staging.get(), staged.c_str(), 0);
  return status;
}

Status Volumes::Impl::change_record(const VolumePtr& from, const Volume& to) {
  ASSIGN_OR_RETURN(auto* driver, drivers.find(from->driver));
  ASSIGN_OR_RETURN(auto directory, directories.open_volume(from->name));
  bool mounted = false;
  Time last_used;
  {
    std::lock_guard lock(mutex);
    auto& entry = entries[to.name.str()];
    mounted = !entry.mounters.empty();
    last_used = entry.last_used;
  }
  RETURN_IF_ERROR(firm_up(*from));
  bool other_options = from->options != to.options;
  RETURN_IF_ERROR(store.put(RecordKind::kIntent, intent_key(to), to.to_json()));
  auto changed = other_options ? driver->update(*from, to, directory, mounted) : Status{};
  if (changed) {
    changed = replace_sidecar(directory, to);
    if (!changed && other_options) (void)driver->update(to, *from, directory, mounted);
  }
  if (!changed) {
    // After a failed sync nobody knows what the disk has: the next start looks.
    if (!sync_failed) (void)store.erase(RecordKind::kIntent, intent_key(to));
    return changed;
  }
  // A row that is on its way must not come after this one. Should either fail, the sidecar has the
  // new record already, and the intent makes the next start believe it.
  if (!index.flush()) return {};
  Batch batch;
  batch.put(RecordKind::kVolume, to.name.str(), VolumeRow{to, last_used}.to_json());
  batch.erase(RecordKind::kIntent, intent_key(to));
  (void)store.commit(std::move(batch));
  return {};
}

Result<VolumePtr> Volumes::update(const VolumeName& name, const Change& change,
                                  const HostPathJudge& judge) {
  auto failed = [&](const Error& error) { return about("update", name.str(), error); };
  auto turn = impl_->enter(name.str());
  ASSIGN_OR_RETURN(auto from, impl_->find(name));
  Volume to = *from;
  apply(change.labels, to.labels);
  apply(change.options, to.options);
  if (to.labels == from->labels && to.options == from->options) return from;
  auto work = [&]() -> Status {
    RETURN_IF_ERROR(impl_->check_health());
    RETURN_IF_ERROR(check_keys("label", change.labels));
    RETURN_IF_ERROR(check_keys("option", change.options));
    RETURN_IF_ERROR(check_record_size(to));
    if (to.options != from->options) {
      ASSIGN_OR_RETURN(auto* driver, impl_->drivers.find(to.driver));
      RETURN_IF_ERROR(driver->check(to, judge));
    }
    return impl_->change_record(from, to);
  };
  if (auto status = work(); !status) return failed(status.error());
  auto published = std::make_shared<const Volume>(std::move(to));
  std::lock_guard lock(impl_->mutex);
  impl_->entries[name.str()].volume = published;
  return published;
}

// What open() does about intents: called once the rows are read.
Status Volumes::Impl::settle_updates() {
  ASSIGN_OR_RETURN(auto intents, store.all(RecordKind::kIntent));
  for (const auto& intent : intents) {
    if (!intent.key.starts_with(kIntentPrefix)) continue;
    auto wanted = Volume::from_json(intent.document);
    auto directory = wanted ? directories.open_volume(wanted->name)
                            : Result<UniqueFd>(tl::unexpected(wanted.error()));
    auto found =
        directory ? read_sidecar(*directory) : Result<Volume>(tl::unexpected(directory.error()));
    if (!found || found->id != wanted->id || found->name != wanted->name) {
      // Removed since, or its data is missing: the row stays as it is.
      RETURN_IF_ERROR(store.erase(RecordKind::kIntent, intent.key));
      continue;
    }
    auto& entry = entries[found->name.str()];
    // The row of a volume that had the name before.
    if (entry.volume && entry.volume->id != found->id) entry.last_used = {};
    found->mountpoint = first_mountpoint(*found);
    Batch batch;
    batch.put(RecordKind::kVolume, found->name.str(), VolumeRow{*found, entry.last_used}.to_json());
    if (found->options == wanted->options)
      batch.erase(RecordKind::kIntent, intent.key);
    else
      entry.unfinished_update = std::move(*wanted);
    entry.volume = std::make_shared<const Volume>(std::move(*found));
    RETURN_IF_ERROR(store.commit(std::move(batch)));
  }
  return {};
}

// In the background, when it is known who has the volume mounted.
void Volumes::Impl::finish_update(const VolumeName& name) {
  auto turn = enter(name.str());
  VolumePtr from;
  Volume to;
  {
    std::lock_guard lock(mutex);
    auto found = entries.find(name.str());
    if (found == entries.end() || !found->second.volume || !found->second.unfinished_update) return;
    from = found->second.volume;
    to = *std::exchange(found->second.unfinished_update, std::nullopt);
  }
  to.mountpoint = from->mountpoint;
  // Refused: the old record stays, and the intent is gone.
  if (!change_record(from, to)) return;
  std::lock_guard lock(mutex);
  entries[name.str()].volume = std::make_shared<const Volume>(std::move(to));
}

}  // namespace holdfast
