#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include <fmt/ranges.h>

#include "base/file.h"
#include "base/random.h"
#include "storage/copy/directory_reader.h"
#include "storage/driver/local/option_rules.h"
#include "storage/volume/volumes_impl.h"

// How a volume comes to be. Of what its driver makes from the record alone (VolumeDriver::remakes)
// the record is all there is to lose, and one commit of the store, which many share, is all that
// somebody waits for:
//
//   1. volumes/<name>/ is made, with what the driver puts there and no sidecar
//   2. its row is committed, marked as fresh: now the volume is there, and the client is told
//   3. it is made firm: later (fresh.cc), or before anybody takes it into use
//
// Crash points: before 2 there is an empty directory without a record, which open() takes away.
// Between 2 and 3 a power cut may leave the row alone, and open() makes the directory again.
//
// Of any other (a file system in a file, a plugin's) the directory comes first:
//
//   1. it is built in staging/, with its sidecar, and synced
//   2. it is renamed into place, and that is synced: now the volume is there
//   3. its row is committed some time later
//
// Crash points: before 2 there is only something in staging/, which open() sweeps. After it the
// volume is there with or without its row, which open() adds. A power cut that kept the rename but
// not the sidecar's bytes leaves an empty directory with an empty record, which open() takes away:
// nobody was told of that volume yet.
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
  ASSIGN_OR_RETURN(auto directory, open_directory(directories.staging, staged.c_str()));
  if (!theirs) RETURN_IF_ERROR(by->create(volume, directory));
  ASSIGN_OR_RETURN(sidecar, write_sidecar(directory, volume));
  if (directories.ordered_journal) return {};
  if (::fsync(sidecar.get()) != 0) return fail_errno("sync volume record");
  return sync_fd(directory, "volume directory");
}

tl::unexpected<Error> Volumes::Impl::name_taken(const VolumeName& name) const {
  return fail(Code::kConflict,
              "\"{}/volumes/{}\" exists and is no volume holdfast knows; move it away first",
              directories.root, name);
}

Status Volumes::Impl::move_in(const Volume& volume, const std::string& staged, BorrowedFd sidecar) {
  if (::renameat2(directories.staging.get(), staged.c_str(), directories.volumes.get(),
                  volume.name.str().c_str(), RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return name_taken(volume.name);
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

Status Volumes::Impl::make_firm(const Volume& volume, bool theirs) {
  std::string staged = layout::kVolumePrefix + volume.id;
  UniqueFd sidecar;
  auto made = build(volume, theirs, staged, sidecar);
  if (made) made = move_in(volume, staged, sidecar);
  if (!made) delete_staged(staged);
  return made;
}

// What a fresh volume has of its own, or what is missing of it.
Status Volumes::Impl::lay_out(const Volume& volume) {
  ASSIGN_OR_RETURN(auto* by, drivers.find(volume.driver));
  ASSIGN_OR_RETURN(auto directory, open_directory(directories.volumes, volume.name.str().c_str()));
  return by->create(volume, directory);
}

Status Volumes::Impl::make_fresh(const Volume& volume) {
  const auto& name = volume.name.str();
  if (::mkdirat(directories.volumes.get(), name.c_str(), 0700) != 0) {
    if (errno == EEXIST) return name_taken(volume.name);
    return fail_errno("mkdir \"{}/volumes/{}\"", directories.root, name);
  }
  auto made = lay_out(volume);
  if (made) made = index.commit({{name, VolumeRow{volume, {}, true}.to_json()}});
  if (!made) discard_leftover(name);
  return made;
}

// Puts a new volume where others see it; one that is firm on its way into the index, too.
VolumePtr Volumes::Impl::publish(Volume volume, const std::optional<HolderId>& holder, bool fresh) {
  std::string name = volume.name.str();
  if (!fresh) index.put(name, volume.to_json());
  volume.mountpoint = first_mountpoint(volume);
  auto published = std::make_shared<const Volume>(std::move(volume));
  std::lock_guard lock(mutex);
  auto& entry = entries[name];
  entry.volume = published;
  entry.fresh = fresh;
  if (holder) entry.holders.insert(*holder);
  if (fresh) firm_up_later(name);
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
  bool fresh = false;
  auto made = impl_->check_health();
  if (made) made = check_record_size(volume);
  if (made) {
    made = impl_->drivers.find(volume.driver).and_then([&](VolumeDriver* driver) -> Status {
      RETURN_IF_ERROR(driver->check(volume, judge));
      ASSIGN_OR_RETURN(theirs, driver->has(volume));
      fresh = driver->remakes(volume);
      return fresh ? impl_->make_fresh(volume) : impl_->make_firm(volume, theirs);
    });
  }
  if (!made) return fail_create(made.error());
  return Created{impl_->publish(std::move(volume), holder, fresh), theirs};
}

}  // namespace holdfast
