#include <algorithm>

#include "image/filters.h"
#include "image/images_impl.h"

namespace holdfast::image {
namespace {

// Whether removing by id may take these names with it: at most one tag, all in one repository.
bool is_single_reference(const std::vector<Reference>& references) {
  if (references.size() <= 1) return true;
  const Reference* tag = nullptr;
  std::set<std::string> digest_names;
  for (const auto& reference : references) {
    if (!reference.digest().empty())
      digest_names.insert(reference.name());
    else if (!tag)
      tag = &reference;
    else
      return false;
  }
  if (!tag) tag = &references.front();
  return digest_names.size() == 1 && digest_names.contains(tag->name());
}

// Whether what the user wrote is (the start of) the image's id rather than a name.
bool is_id_prefix(const ImageId& id, std::string_view text) {
  if (text.starts_with("sha256:")) return id.str().starts_with(text);
  return std::string_view(id.str()).substr(7).starts_with(text);
}

tl::unexpected<Error> conflict(const ImageId& id, bool hard, std::string_view why) {
  return fail(Code::kConflict, "conflict: unable to delete {} ({} be forced) - {}",
              short_id(id.str()), hard ? "cannot" : "must", why);
}

}  // namespace

json::Array to_json(const std::vector<Removed>& removed) {
  json::Array array;
  for (const auto& [untagged, deleted] : removed) {
    if (!untagged.empty()) array.push_back(json::Object{{"Untagged", untagged}});
    if (!deleted.empty()) array.push_back(json::Object{{"Deleted", deleted}});
  }
  return array;
}

// Erases names, durably. Returns those that were there.
Result<std::vector<Reference>> Images::Impl::untag(const std::vector<Reference>& wanted) {
  std::lock_guard writing(writer);
  Batch batch;
  std::vector<Reference> found;
  {
    std::lock_guard lock(mutex);
    for (const auto& reference : wanted) {
      if (!references.contains(reference.str())) continue;
      batch.erase(RecordKind::kReference, reference.str());
      found.push_back(reference);
    }
  }
  RETURN_IF_ERROR(store.commit(std::move(batch)));
  std::lock_guard lock(mutex);
  for (const auto& reference : found) references.erase(reference.str());
  return found;
}

bool Images::Impl::has_children(const ImageId& id) const {
  return std::any_of(images.begin(), images.end(),
                     [&](const auto& other) { return other.second.record.parent == id; });
}

// Docker's rules for what stands in the way of deleting an image. `soft`: those that force
// overrides as well.
Status Images::Impl::check_conflict(const ImageId& id, bool soft, bool references_count,
                                    const Users& users, bool& used) const {
  used = false;
  std::size_t names = 0;
  {
    std::lock_guard lock(mutex);
    if (has_children(id)) return conflict(id, true, "image has dependent child images");
    auto known = images.find(id);
    if (known != images.end() && known->second.pins > 0) {
      used = true;
      return conflict(id, true, "image is being used by a container that is being created");
    }
    names = references_of(id).size();
  }
  auto containers = users ? users(id) : std::vector<User>();
  for (const auto& user : containers) {
    if (!user.running) continue;
    used = true;
    return conflict(
        id, true,
        fmt::format("image is being used by running container {}", short_id(user.id.str())));
  }
  if (!soft) return {};
  if (references_count && names > 0)
    return conflict(id, false, "image is referenced in multiple repositories");
  if (!containers.empty()) {
    used = true;
    return conflict(id, false,
                    fmt::format("image is being used by stopped container {}",
                                short_id(containers.front().id.str())));
  }
  return {};
}

Status Images::Impl::delete_image(const ImageId& id, std::vector<Removed>& removed) {
  std::vector<Reference> names;
  ImageRecord record;
  std::vector<ChainId> unheld;
  {
    std::lock_guard writing(writer);
    Batch batch;
    {
      std::lock_guard lock(mutex);
      names = references_of(id);
      record = images.at(id).record;
    }
    for (const auto& name : names) batch.erase(RecordKind::kReference, name.str());
    batch.erase(RecordKind::kImage, id.str());
    unheld = layers->release(holder_of(id), batch);
    if (auto committed = store.commit(std::move(batch)); !committed) {
      // Every layer is claimed again, the shared ones too.
      layers->restore(holder_of(id), unheld);
      (void)layers->hold(holder_of(id), record.chain());
      return committed;
    }
    std::lock_guard lock(mutex);
    for (const auto& name : names) references.erase(name.str());
    images.erase(id);
  }
  blobs->release(holder_of(id));
  layers->discard(unheld);
  for (const auto& name : names) removed.push_back({name.familiar(), {}});
  removed.push_back({{}, id.str()});
  auto chain = record.chain();
  for (auto layer = chain.rbegin(); layer != chain.rend(); ++layer) {
    if (std::find(unheld.begin(), unheld.end(), *layer) != unheld.end())
      removed.push_back({{}, layer->str()});
  }
  emit("delete", id.str(), id.str(), id);
  return {};
}

Status Images::Impl::remove_image(const ImageId& id, bool force, bool prune, bool quiet,
                                  const Users& users, std::vector<Removed>& removed) {
  ImageId parent;
  {
    std::lock_guard lock(mutex);
    auto known = images.find(id);
    if (known == images.end() || known->second.removing)
      return quiet ? Status{} : Status(fail(Code::kNotFound, "No such image: {}", id));
    known->second.removing = true;  // from here on nobody can pin it
    parent = known->second.record.parent;
  }
  bool used = false;
  Status outcome = check_conflict(id, !force, true, users, used);
  bool conflicted = !outcome;
  if (!conflicted) outcome = delete_image(id, removed);
  bool dangling = false;
  {
    std::lock_guard lock(mutex);
    auto known = images.find(id);
    if (known != images.end()) known->second.removing = false;
    dangling = references_of(id).empty() && !has_children(id);
  }
  idle.notify_all();
  if (conflicted) return quiet && (!dangling || used) ? Status{} : outcome;
  RETURN_IF_ERROR(std::move(outcome));
  if (!prune || parent.empty()) return {};
  return remove_image(parent, false, true, true, users, removed);
}

Result<std::vector<Removed>> Images::Impl::remove(std::string_view text,
                                                  const RemoveOptions& wanted, const Users& users) {
  ImageId id;
  std::vector<Reference> names;
  {
    std::lock_guard lock(mutex);
    ASSIGN_OR_RETURN(id, resolve(text));
    names = references_of(id);
  }
  std::vector<Removed> removed;
  auto drop = [&](const std::vector<Reference>& which) -> Status {
    ASSIGN_OR_RETURN(auto dropped, untag(which));
    for (const auto& name : dropped) {
      removed.push_back({name.familiar(), {}});
      emit("untag", id.str(), id.str(), id);
    }
    return {};
  };
  bool quiet = true;
  if (!is_id_prefix(id, text)) {
    auto containers = users ? users(id) : std::vector<User>();
    if (!wanted.force && is_single_reference(names) && !containers.empty()) {
      return fail(Code::kConflict,
                  "conflict: unable to remove repository reference \"{}\" (must "
                  "force) - container {} is using its referenced image {}",
                  text, short_id(containers.front().id.str()), short_id(id.str()));
    }
    ASSIGN_OR_RETURN(auto parsed, Reference::parse(text));
    auto name = parsed.with_default_tag();
    if (!name.digest().empty()) name = name.with_digest(name.digest());
    std::vector<Reference> which = {name};
    bool other_tag = std::any_of(names.begin(), names.end(), [&](const Reference& other) {
      return other.digest().empty() && other.name() == name.name() && other != name;
    });
    // Digests of a repository go with the last of its tags.
    for (const auto& other : names) {
      bool goes = name.digest().empty() && !other_tag && !other.digest().empty() &&
                  other.name() == name.name();
      if (goes) which.push_back(other);
    }
    RETURN_IF_ERROR(drop(which));
    std::lock_guard lock(mutex);
    if (!references_of(id).empty()) return removed;
  } else {
    quiet = false;
    if (is_single_reference(names)) {
      bool used = false;
      RETURN_IF_ERROR(check_conflict(id, !wanted.force, false, users, used));
      RETURN_IF_ERROR(drop(names));
    }
  }
  RETURN_IF_ERROR(remove_image(id, wanted.force, wanted.prune_parents, quiet, users, removed));
  return removed;
}

Result<std::vector<Removed>> Images::remove(std::string_view text, const RemoveOptions& options,
                                            const Users& users) {
  return impl_->remove(text, options, users);
}

Result<Pruned> Images::prune(const Filters& filters, const Users& users) {
  ASSIGN_OR_RETURN(auto selection, PruneSelection::parse(filters));
  std::vector<ImageId> candidates;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, known] : impl_->images) {
      bool dangling = impl_->references_of(id).empty();
      bool has_tag = false;
      for (const auto& name : impl_->references_of(id)) has_tag |= name.digest().empty();
      bool wanted = selection.dangling_only ? dangling || !has_tag : true;
      if (wanted && selection.matches(known.record)) candidates.push_back(id);
    }
  }
  Pruned pruned;
  auto before = impl_->layers->total_size();
  for (const auto& id : candidates) {
    // Unknown never means unused: a conflict, or a failure to tell, keeps the image.
    if (users && !users(id).empty()) continue;
    std::vector<Reference> names;
    {
      std::lock_guard lock(impl_->mutex);
      names = impl_->references_of(id);
    }
    bool used = false;
    if (!impl_->check_conflict(id, true, false, users, used)) continue;
    ASSIGN_OR_RETURN(auto dropped, impl_->untag(names));
    for (const auto& name : dropped) pruned.removed.push_back({name.familiar(), {}});
    (void)impl_->remove_image(id, false, true, true, users, pruned.removed);
  }
  auto after = impl_->layers->total_size();
  pruned.space_reclaimed = before > after ? before - after : 0;
  return pruned;
}

}  // namespace holdfast::image
