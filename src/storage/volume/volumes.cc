#include "storage/volume/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include <fmt/ranges.h>

#include "base/file.h"
#include "base/random.h"
#include "storage/driver/local/option_rules.h"
#include "storage/volume/volumes_impl.h"

namespace holdfast {
namespace {

using Options = std::map<std::string, std::string>;

// Of an option whose value has options of its own, as `o` has.
std::string without_secrets(const std::string& key, std::string_view value) {
  constexpr const char* kHidden = "********";
  if (is_secret_option(key)) return kHidden;
  std::string shown;
  while (true) {
    auto word = value.substr(0, value.find(','));
    auto equals = word.find('=');
    bool secret = equals != std::string_view::npos && is_secret_option(word.substr(0, equals));
    shown += secret ? fmt::format("{}={}", word.substr(0, equals), kHidden) : std::string(word);
    if (word.size() == value.size()) return shown;
    value.remove_prefix(word.size() + 1);
    shown += ',';
  }
}

// "o=size=5m, no device" of those options whose values are not the same in `other`.
std::string differing_options(const Options& options, const Options& other) {
  std::vector<std::string> texts;
  for (const auto& [key, value] : options) {
    auto theirs = other.find(key);
    if (theirs == other.end() || theirs->second != value)
      texts.push_back(fmt::format("{}={}", key, without_secrets(key, value)));
  }
  for (const auto& [key, value] : other)
    if (!options.contains(key)) texts.push_back("no " + key);
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

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

tl::unexpected<Error> about(const char* verb, const std::string& name, const Error& error) {
  return tl::unexpected(error.wrap(fmt::format("{} {}", verb, name)));
}

tl::unexpected<Error> no_such_volume(const VolumeName& name) {
  return fail(Code::kNotFound, "get {}: no such volume", name);
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
  const auto& options = entry.volume->options;
  // What a plugin's own volume was made with is not known here.
  bool unknown = options.empty() && is_remote(*entry.volume);
  if (!spec.options.empty() && spec.options != options && !unknown)
    return fail(Code::kConflict,
                "a volume of that name exists with other options: it has {}, asked for was {}; "
                "leave the options out to use it as it is, or remove it first",
                differing_options(options, spec.options), differing_options(spec.options, options));
  if (holder) entry.holders.insert(*holder);
  return Volumes::Created{entry.volume, true};
}

// Lays the volume out in staging/.
Status Volumes::Impl::build(const Volume& volume, bool theirs, const std::string& staged,
                            UniqueFd& sidecar) {
  ASSIGN_OR_RETURN(auto* by, drivers.find(volume.driver));
  if (::mkdirat(directories.staging.get(), staged.c_str(), 0700) != 0)
    return fail_errno("mkdir \"{}/staging/{}\"", directories.root, staged);
  ASSIGN_OR_RETURN(auto directory,
                   open_file_at(directories.staging, staged, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!theirs) RETURN_IF_ERROR(by->create(volume, directory));
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

Status Volumes::Impl::make(const Volume& volume, bool theirs) {
  std::string staged = layout::kVolumePrefix + volume.id;
  UniqueFd sidecar;
  auto made = build(volume, theirs, staged, sidecar);
  if (made) made = move_in(volume, staged, sidecar);
  if (!made) delete_staged(staged);
  return made;
}

// Records the volume in memory and, soon, in the index.
VolumePtr Volumes::Impl::publish(Volume volume, const std::optional<HolderId>& holder) {
  std::string name = volume.name.str();
  std::string document = volume.to_json();
  volume.mountpoint = first_mountpoint(volume);
  auto published = std::make_shared<const Volume>(std::move(volume));
  {
    std::lock_guard lock(mutex);
    auto& entry = entries[name];
    entry.volume = published;
    if (holder) entry.holders.insert(*holder);
  }
  index.put(name, std::move(document));
  return published;
}

Result<Volumes::Created> Volumes::create(const VolumeSpec& given,
                                         const std::optional<HolderId>& holder,
                                         const HostPathJudge& judge) {
  VolumeSpec spec = given;
  if (spec.name.empty()) {
    spec.name = random_hex(64);
    spec.labels.emplace(kAnonymousLabel, "");
  }
  auto fail_create = [&](const Error& error) { return about("create", spec.name, error); };
  if (auto status = check_volume_name(spec.name); !status) return fail_create(status.error());
  if (!spec.driver.empty()) {
    if (auto known = impl_->drivers.known(spec.driver); !known) return fail_create(known.error());
  }
  bool absent = false;
  auto turn = impl_->enter(spec.name);
  auto current = impl_->reconcile_with_plugin(spec);
  if (!current) return fail_create(current.error());
  auto found = impl_->existing(spec, holder, absent);
  if (!found) return fail_create(found.error());
  if (!absent) return found;
  bool named = !spec.labels.contains(std::string(kAnonymousLabel));
  if (spec.driver.empty() && named) {
    if (auto theirs = impl_->drivers.plugins().find_volume(VolumeName(spec.name)))
      spec.driver = theirs->driver;
  }
  auto volume = new_volume(spec);
  bool theirs = false;
  auto made = impl_->check_health();
  if (made) made = check_record_size(volume);
  if (made) {
    made = impl_->drivers.find(volume.driver).and_then([&](VolumeDriver* driver) -> Status {
      RETURN_IF_ERROR(driver->check(volume, judge));
      ASSIGN_OR_RETURN(theirs, driver->has(volume));
      return impl_->make(volume, theirs);
    });
  }
  if (!made) return fail_create(made.error());
  return Created{impl_->publish(std::move(volume), holder), theirs};
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

std::vector<Volumes::Listed> Volumes::list_with_holders() const {
  std::vector<Listed> listed;
  std::lock_guard lock(impl_->mutex);
  listed.reserve(impl_->entries.size());
  for (const auto& [name, entry] : impl_->entries) {
    if (!entry.volume || entry.going) continue;
    // Whoever has it mounted holds it, too, but for moments of a start or an end.
    std::size_t holders = entry.mounters.empty() ? entry.holders.size() : entry.users().size();
    listed.push_back({entry.volume, holders, entry.last_used});
  }
  return listed;
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
  auto all = found->second.users();
  return {all.begin(), all.end()};
}

void Volumes::holders_restored() {
  std::lock_guard lock(impl_->mutex);
  impl_->holders_known = true;
}

// --- life ---

Volumes::Volumes(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Volumes::~Volumes() {
  // A commit may hand trash to the janitors, never the other way round.
  if (auto status = impl_->index.flush(); !status) {
    // What is not in the index yet is found by recovery.
  }
  interrupt();
  impl_->drivers.plugins().errands().stop();
  impl_->committers.stop();
  impl_->stopping = true;
  impl_->janitors.stop();
}

Result<std::unique_ptr<Volumes>> Volumes::open(const std::string& data_root, Store& store,
                                               PluginOptions plugins,
                                               const MountDeadlines& deadlines) {
  ASSIGN_OR_RETURN(auto directories, VolumeDirectories::open(data_root));
  plugins.private_roots.push_back(data_root);
  auto impl = std::make_unique<Impl>(std::move(directories), store, std::move(plugins), deadlines);
  RETURN_IF_ERROR(impl->recover());
  return std::unique_ptr<Volumes>(new Volumes(std::move(impl)));
}

}  // namespace holdfast
