#include "engine/container_table.h"

#include <algorithm>

#include "base/random.h"

namespace holdfast {
namespace {

constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool valid_name(std::string_view name) {
  if (name.size() < 2 || kNameCharacters.find(name.front()) == std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return kNameCharacters.find(c) != std::string_view::npos || c == '_' || c == '.' || c == '-';
  });
}

constexpr const char* kAdjectives[] = {
    "anchored", "brave",  "calm",   "diligent", "eager",   "fast",   "gentle", "hardy",
    "intact",   "jolly",  "keen",   "lasting",  "mellow",  "nimble", "open",   "patient",
    "quiet",    "rugged", "steady", "tidy",     "upright", "vivid",  "warm",   "zealous"};
constexpr const char* kNouns[] = {"anchor", "beacon", "compass", "dock",  "ensign", "ferry",
                                  "galley", "harbor", "island",  "jetty", "keel",   "ledger",
                                  "mast",   "north",  "oar",     "pier",  "quay",   "rudder",
                                  "sail",   "tiller", "vessel",  "wharf", "yard",   "zephyr"};

std::string made_up_name() {
  std::string digits = random_hex(8);
  std::size_t number = std::stoul(digits, nullptr, 16);
  return fmt::format("{}_{}", kAdjectives[number % std::size(kAdjectives)],
                     kNouns[number / 64 % std::size(kNouns)]);
}

std::string without_slash(const std::string& name) {
  return name.starts_with('/') ? name.substr(1) : name;
}

}  // namespace

Result<std::vector<std::string>> ContainerTable::load() {
  ASSIGN_OR_RETURN(auto records, store_.all(RecordKind::kContainer));
  std::vector<std::string> damaged;
  std::lock_guard lock(mutex_);
  for (const auto& record : records) {
    auto container = Container::from_record(record.key, record.document);
    if (!container) {
      damaged.push_back(container.error().message);
      continue;
    }
    names_.emplace((*container)->name(), (*container)->id);
    by_id_.emplace((*container)->id, *container);
  }
  return damaged;
}

Result<std::string> ContainerTable::reserve_name(const std::string& wanted, const ContainerId& id) {
  std::string name = without_slash(wanted);
  if (!wanted.empty() && !valid_name(name)) {
    return fail(Code::kInvalidArgument,
                "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", wanted);
  }
  std::lock_guard lock(mutex_);
  if (name.empty()) {
    name = made_up_name();
    for (int attempt = 0; attempt < 8 && names_.contains(name); ++attempt) name = made_up_name();
    while (names_.contains(name)) name += random_hex(2);
  }
  auto [entry, added] = names_.emplace(name, id);
  if (!added && entry->second != id) {
    return fail(Code::kConflict,
                "Conflict. The container name \"/{}\" is already in use by container \"{}\". You "
                "have to remove (or "
                "rename) that container to be able to reuse that name.",
                name, entry->second);
  }
  return name;
}

void ContainerTable::release_name(const std::string& name) {
  std::lock_guard lock(mutex_);
  names_.erase(name);
}

bool ContainerTable::is_reserved(const ContainerId& id) const {
  std::lock_guard lock(mutex_);
  return std::any_of(names_.begin(), names_.end(),
                     [&](const auto& entry) { return entry.second == id; });
}

Status ContainerTable::add(const ContainerPtr& container, Batch also) {
  also.put(RecordKind::kContainer, container->id.str(), container->to_record());
  RETURN_IF_ERROR(store_.commit(std::move(also)));
  std::lock_guard lock(mutex_);
  by_id_.emplace(container->id, container);
  return {};
}

Status ContainerTable::save(const Container& container) {
  return store_.put(RecordKind::kContainer, container.id.str(), container.to_record());
}

Status ContainerTable::remove(const ContainerPtr& container, Batch also) {
  also.erase(RecordKind::kContainer, container->id.str());
  RETURN_IF_ERROR(store_.commit(std::move(also)));
  std::lock_guard lock(mutex_);
  by_id_.erase(container->id);
  names_.erase(container->name());
  return {};
}

Status ContainerTable::rename(Container& container, const std::string& name) {
  std::string old = container.name();
  ASSIGN_OR_RETURN(auto reserved, reserve_name(name, container.id));
  container.change([&](ContainerData& data) { data.name = reserved; });
  if (auto saved = save(container); !saved) {
    container.change([&](ContainerData& data) { data.name = old; });
    release_name(reserved);
    return saved;
  }
  release_name(old);
  return {};
}

Result<ContainerPtr> ContainerTable::find(const std::string& name_or_id) const {
  std::lock_guard lock(mutex_);
  if (auto found = by_id_.find(ContainerId(name_or_id)); found != by_id_.end())
    return found->second;
  if (auto named = names_.find(without_slash(name_or_id)); named != names_.end()) {
    // A name without a container belongs to one that is just being created.
    if (auto found = by_id_.find(named->second); found != by_id_.end()) return found->second;
  }
  auto first = name_or_id.empty() ? by_id_.end() : by_id_.lower_bound(ContainerId(name_or_id));
  if (first == by_id_.end() || !first->first.str().starts_with(name_or_id)) {
    return fail(Code::kNotFound, "No such container: {}", name_or_id);
  }
  auto second = std::next(first);
  if (second != by_id_.end() && second->first.str().starts_with(name_or_id)) {
    return fail(Code::kInvalidArgument, "multiple IDs found with provided prefix: {}", name_or_id);
  }
  return first->second;
}

std::vector<ContainerPtr> ContainerTable::all() const {
  std::vector<ContainerPtr> containers;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, container] : by_id_) containers.push_back(container);
  }
  std::sort(containers.begin(), containers.end(),
            [](const auto& a, const auto& b) { return a->created > b->created; });
  return containers;
}

std::size_t ContainerTable::count() const {
  std::lock_guard lock(mutex_);
  return by_id_.size();
}

}  // namespace holdfast
