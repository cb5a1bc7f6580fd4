#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "storage/volume/volumes_impl.h"

// How a volume gets another name. Three things spell it: its directory, the sidecar in there, and
// rows of the store, its own and those of whoever holds it. The rows change together or not at all,
// so their commit is the moment at which the new name holds:
//
//   1. the intent, with the old record and the new name, is committed
//   2. volumes/<old> is renamed to volumes/<new>; synced
//   3. the sidecar is replaced
//   4. the row goes from the old name to the new one, the holders' records change and the intent
//      ends, in one commit
//
// Crash points: before 1 nothing has happened; after 4 everything has. Between them open() finds
// the intent and undoes 3 and 2, in this order, whichever of them the disk has; the intent goes
// last, so that being killed at that changes nothing. The volume is told by its id: a directory of
// another volume, made under one of the names since, is left alone.
namespace holdfast {
namespace {

constexpr std::string_view kIntentPrefix = "volume-rename/";

std::string intent_key(const Volume& volume) { return std::string(kIntentPrefix) + volume.id; }

std::string intent_of(const Volume& from, const VolumeName& to) {
  return json::serialize(json::Object{{"record", from.to_json()}, {"to", to.str()}});
}

// "data: volume is in use - [ids]" of those who stand in the way.
tl::unexpected<Error> in_use(const std::set<HolderId>& holders) {
  return fail(Code::kConflict, "volume is in use - [{}]", join_ids(holders));
}

}  // namespace

Result<VolumePtr> Volumes::Impl::may_rename(const VolumeName& from, const VolumeName& to,
                                            const std::set<HolderId>& known) {
  std::lock_guard lock(mutex);
  auto found = entries.find(from.str());
  if (found == entries.end() || !found->second.volume) return no_such_volume(from);
  const auto& entry = found->second;
  if (entries.contains(to.str())) return fail(Code::kConflict, "volume \"{}\" exists already", to);
  if (!holders_known)
    return fail(Code::kUnavailable,
                "who uses volumes is not known yet, the daemon is still starting");
  if (!entry.mounters.empty()) return in_use(entry.mounters);
  std::set<HolderId> strangers;
  for (const auto& holder : entry.holders)
    if (!known.contains(holder)) strangers.insert(holder);
  if (!strangers.empty()) return in_use(strangers);
  return entry.volume;
}

// Steps 2 and 3.
Status Volumes::Impl::move_directory(const Volume& from, const Volume& to) {
  if (::renameat2(directories.volumes.get(), from.name.str().c_str(), directories.volumes.get(),
                  to.name.str().c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST)
      return fail(Code::kConflict,
                  "\"{}/volumes/{}\" exists and is no volume holdfast knows; move it away first",
                  directories.root, to.name);
    return fail_errno("rename \"{}/volumes/{}\" to \"{}\"", directories.root, from.name, to.name);
  }
  RETURN_IF_ERROR(noted(sync_fd(directories.volumes, "volumes directory")));
  ASSIGN_OR_RETURN(auto directory, directories.open_volume(to.name));
  return replace_sidecar(directory, to);
}

// Undoes 3 and 2, as far as they were done; repeatable.
Status Volumes::Impl::undo_rename(const Volume& from, const VolumeName& to) {
  for (const auto& name : {to, from.name}) {
    auto directory = directories.open_volume(name);
    if (!directory) continue;
    auto found = read_sidecar(*directory);
    if (!found || found->id != from.id) continue;
    if (found->name != from.name) RETURN_IF_ERROR(replace_sidecar(*directory, from));
    if (name == from.name) return {};
    if (::renameat2(directories.volumes.get(), name.str().c_str(), directories.volumes.get(),
                    from.name.str().c_str(), RENAME_NOREPLACE) != 0)
      return fail_errno("rename \"{}/volumes/{}\" back to \"{}\"", directories.root, name,
                        from.name);
    return noted(sync_fd(directories.volumes, "volumes directory"));
  }
  return {};
}

Status Volumes::Impl::rename(const Volume& from, const Volume& to, Time last_used, Batch also) {
  RETURN_IF_ERROR(firm_up(from));
  // A row that is on its way must not come after the commit below.
  RETURN_IF_ERROR(index.flush());
  RETURN_IF_ERROR(store.put(RecordKind::kIntent, intent_key(from), intent_of(from, to.name)));
  auto moved = move_directory(from, to);
  if (moved) {
    also.erase(RecordKind::kVolume, from.name.str());
    also.put(RecordKind::kVolume, to.name.str(), VolumeRow{to, last_used}.to_json());
    also.erase(RecordKind::kIntent, intent_key(from));
    moved = store.commit(std::move(also));
    if (moved) return {};
  }
  // Where even this fails the intent stays, and the next start does it.
  if (undo_rename(from, to.name)) (void)store.erase(RecordKind::kIntent, intent_key(from));
  return moved;
}

Result<VolumePtr> Volumes::rename(const VolumeName& from, const VolumeName& to,
                                  const std::set<HolderId>& known, Batch also) {
  auto failed = [&](const Error& error) { return about("rename", from.str(), error); };
  if (auto valid = check_volume_name(to.str()); !valid) return failed(valid.error());
  if (to.empty()) return failed(Error{Code::kInvalidArgument, 0, "the new name is empty"});
  if (from == to) return failed(Error{Code::kInvalidArgument, 0, "it has that name already"});
  auto first = impl_->enter(std::min(from, to).str());
  auto second = impl_->enter(std::max(from, to).str());
  auto volume = impl_->may_rename(from, to, known);
  if (!volume && volume.error().code == Code::kNotFound) return volume;
  if (!volume) return failed(volume.error());
  Volume renamed = **volume;
  renamed.name = to;
  renamed.labels.erase(std::string(kAnonymousLabel));
  Time last_used;
  auto work = [&]() -> Status {
    RETURN_IF_ERROR(impl_->check_health());
    if (impl_->is_remote(**volume))
      return fail(Code::kNotImplemented,
                  "plugin \"{}\" keeps this volume and knows it by its name, which no plugin can "
                  "change",
                  (*volume)->driver);
    if (auto theirs = impl_->drivers.plugins().find_volume(to))
      return fail(Code::kConflict, "plugin \"{}\" has a volume \"{}\" already", theirs->driver, to);
    {
      std::lock_guard lock(impl_->mutex);
      last_used = impl_->entries[from.str()].last_used;
    }
    return impl_->rename(**volume, renamed, last_used, std::move(also));
  };
  if (auto status = work(); !status) return failed(status.error());
  renamed.mountpoint = impl_->directories.mountpoint(to);
  auto published = std::make_shared<const Volume>(std::move(renamed));
  std::lock_guard lock(impl_->mutex);
  auto node = impl_->entries.extract(from.str());
  node.key() = to.str();
  node.mapped().volume = published;
  node.mapped().measuring = false;  // that count is told under the old name, to nobody
  impl_->entries.insert(std::move(node));
  return published;
}

// What open() does about intents: called before names and rows are compared.
Status Volumes::Impl::undo_renames() {
  ASSIGN_OR_RETURN(auto intents, store.all(RecordKind::kIntent));
  for (const auto& intent : intents) {
    if (!intent.key.starts_with(kIntentPrefix)) continue;
    auto document = json::parse_object(intent.document);
    auto from = document ? Volume::from_json(json::string_or(*document, "record"))
                         : Result<Volume>(tl::unexpected(document.error()));
    if (!from) {
      warnings.push_back(fmt::format("intent {} is damaged: {}", intent.key, from.error().message));
      continue;
    }
    auto undone = undo_rename(*from, VolumeName(json::string_or(*document, "to")));
    if (!undone) {
      // Both names stay what they are on the disk; the volume is adopted under the one it has.
      warnings.push_back(fmt::format("volume \"{}\": {}", from->name, undone.error().message));
      continue;
    }
    RETURN_IF_ERROR(store.erase(RecordKind::kIntent, intent.key));
  }
  return {};
}

}  // namespace holdfast
