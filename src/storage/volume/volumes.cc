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
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->woken.notify_all();
  impl_->firmers.stop();
  // A commit may hand trash to the janitors, never the other way round.
  if (auto status = impl_->index.flush(); !status) {
    // What is not in the index yet is found by recovery.
  }
  interrupt();
  impl_->drivers.plugins().errands().stop();
  impl_->committers.stop();
  impl_->janitors.stop();
}

Result<std::unique_ptr<Volumes>> Volumes::open(const std::string& data_root, Store& store,
                                               PluginOptions plugins,
                                               const MountDeadlines& deadlines) {
  ASSIGN_OR_RETURN(auto directories, VolumeDirectories::open(data_root));
  plugins.private_roots.push_back(data_root);
  auto impl = std::make_unique<Impl>(std::move(directories), store, std::move(plugins), deadlines);
  RETURN_IF_ERROR(impl->recover());
  impl->resume_firming();
  return std::unique_ptr<Volumes>(new Volumes(std::move(impl)));
}

}  // namespace holdfast
