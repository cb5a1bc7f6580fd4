#include <unistd.h>

#include "storage/volume/volumes_impl.h"

// Removing volumes, one or those that nobody holds; trash.cc tells where they go.
namespace holdfast {

std::string join_ids(const std::set<HolderId>& holders) {
  std::string text;
  for (const auto& holder : holders) text += (text.empty() ? "" : ", ") + holder.str();
  return text;
}

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
                join_ids(entry.users()));
  entry.going = true;
  return entry.volume;
}

void Volumes::Impl::end_removal(const VolumeName& name, bool removed) {
  std::string fill;
  {
    std::lock_guard lock(mutex);
    auto& entry = entries[name.str()];
    fill = entry.unfinished_fill;
    entry.going = false;
    if (removed) entries.erase(name.str());
    measured.notify_all();
  }
  // A marker that stays is swept by the next open().
  if (removed && !fill.empty()) ::unlinkat(directories.staging.get(), fill_marker(fill).c_str(), 0);
}

// What begin_removal() began, to its end.
Status Volumes::Impl::take_away(const VolumePtr& volume, bool force, bool gone) {
  auto moved = move_to_trash(volume, force, gone);
  auto status = moved ? sync_removals({*moved}) : Status(tl::unexpected(moved.error()));
  if (moved && !status) take_back(*moved);
  end_removal(volume->name, status.has_value());
  if (status) discard(*moved);
  return status;
}

Status Volumes::remove(const VolumeName& name, bool force) {
  auto turn = impl_->enter(name.str());
  auto going = impl_->begin_removal(name);
  if (!going && going.error().code == Code::kNotFound) {
    // Only a plugin has it: it is put on record first, so that its removal is one like any other.
    auto taken = impl_->take_from_plugin(name);
    if (!taken) return about("remove", name.str(), taken.error());
    if (*taken) going = impl_->begin_removal(name);
  }
  ASSIGN_OR_RETURN(auto volume, std::move(going));
  if (auto status = impl_->take_away(volume, force); !status)
    return about("remove", name.str(), status.error());
  return {};
}

std::vector<Volumes::Listed> Volumes::prune_candidates(
    const std::function<bool(const Volume&)>& wanted) const {
  std::vector<Listed> candidates;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->holders_known) return candidates;
    for (const auto& [name, entry] : impl_->entries) {
      if (entry.volume && !entry.going && !entry.in_use())
        candidates.push_back({entry.volume, 0, entry.last_used});
    }
  }
  std::erase_if(candidates, [&](const Listed& one) {
    return impl_->is_remote(*one.volume) || !wanted(*one.volume);
  });
  return candidates;
}

Result<Volumes::Pruned> Volumes::prune(const std::function<bool(const Volume&)>& wanted) {
  RETURN_IF_ERROR(impl_->check_health());
  std::vector<Impl::Removal> going;
  std::vector<OperationSlots::Turn> turns;
  Pruned report;
  for (const auto& [candidate, holders, last_used] : prune_candidates(wanted)) {
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
    std::uint64_t bytes = impl_->measure(**volume).value_or(0);
    auto moved = impl_->move_to_trash(*volume, false);
    if (!moved) {
      impl_->end_removal(candidate->name, false);
      report.failures.push_back(
          fmt::format("remove {}: {}", candidate->name, moved.error().message));
      continue;
    }
    report.bytes += bytes;
    going.push_back(std::move(*moved));
    turns.push_back(std::move(*turn));
  }
  auto synced = impl_->sync_removals(going);
  for (auto& one : going) {
    if (!synced) impl_->take_back(one);
    impl_->end_removal(one.volume->name, synced.has_value());
    if (!synced) continue;
    impl_->discard(one);
    report.removed.push_back(std::move(one.volume));
  }
  if (!synced) return about("prune", "volumes", synced.error());
  return report;
}

}  // namespace holdfast
