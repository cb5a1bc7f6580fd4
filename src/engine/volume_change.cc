#include "engine/engine_impl.h"
#include "engine/volume_holders.h"
#include "engine/volume_json.h"

// Changing what a volume is called, its labels and its options.
namespace holdfast {
namespace {

// "Labels" or "Options" of a change: strings, or null for what is to go.
Result<std::map<std::string, std::optional<std::string>>> changes_in(const json::Object& body,
                                                                     std::string_view key) {
  std::map<std::string, std::optional<std::string>> changes;
  ASSIGN_OR_RETURN(auto given, json::get_object(body, key));
  for (const auto& [name, value] : given) {
    if (value.is_null()) {
      changes[std::string(name)] = std::nullopt;
    } else if (value.is_string()) {
      changes[std::string(name)] = std::string(value.get_string());
    } else {
      return fail(Code::kInvalidArgument, "{} \"{}\" must be a string, or null to take it away",
                  key, std::string_view(name));
    }
  }
  return changes;
}

// The containers that hold a volume and don't run, each with its slot, so that none of them starts
// or goes meanwhile. Slots of several containers are taken in the order of their ids, by this
// alone.
class RestingHolders {
 public:
  RestingHolders(Engine::Impl& impl, VolumeName volume) : impl_(impl), volume_(std::move(volume)) {}

  // kConflict in Docker's words while one of them runs, or is about to.
  Status hold() {
    for (const auto& holder : impl_.parts.volumes.holders(volume_)) {
      auto found = impl_.table.find(holder.str());
      if (found && (*found)->id.str() == holder.str()) containers_.emplace((*found)->id, *found);
    }
    RETURN_IF_ERROR(check_resting());
    for (const auto& [id, container] : containers_) guards_.push_back(container->slot.acquire());
    std::erase_if(containers_, [&](const auto& entry) {
      return !impl_.table.find(entry.first.str()).has_value();
    });
    return check_resting();
  }

  std::set<HolderId> ids() const {
    std::set<HolderId> ids;
    for (const auto& [id, container] : containers_) ids.insert(impl_.holder_of(id));
    return ids;
  }

  // Their records as they will be.
  Batch renamed_records(const VolumeName& to) const {
    Batch batch;
    for (const auto& [id, container] : containers_) {
      auto data = container->view();
      rename_volume_in(data, volume_, to);
      batch.put(RecordKind::kContainer, id.str(), container->to_record(data));
    }
    return batch;
  }

  void rename(const VolumeName& to) {
    for (const auto& [id, container] : containers_)
      container->change([&](ContainerData& data) { rename_volume_in(data, volume_, to); });
  }

 private:
  Status check_resting() const {
    std::vector<HolderId> running;
    std::string ids;
    for (const auto& [id, container] : containers_) {
      auto state = container->state();
      if (!state.running() && state.status != ContainerStatus::kRestarting) continue;
      running.push_back(impl_.holder_of(id));
      ids += (ids.empty() ? "" : ", ") + id.str();
    }
    if (running.empty()) return {};
    Error error{Code::kConflict, 0,
                fmt::format("rename {}: volume is in use - [{}]", volume_, ids)};
    return tl::unexpected(with_holders_named(std::move(error), impl_.table, running));
  }

  Engine::Impl& impl_;
  const VolumeName volume_;
  std::map<ContainerId, ContainerPtr> containers_;
  std::vector<OperationSlot::Guard> guards_;
};

}  // namespace

Result<json::Object> Engine::update_volume(const std::string& name, const json::Object& body,
                                           const Requester& requester) {
  auto& impl = *impl_;
  Volumes::Change change;
  ASSIGN_OR_RETURN(change.labels, changes_in(body, "Labels"));
  ASSIGN_OR_RETURN(change.options, changes_in(body, "Options"));
  if (change.labels.empty() && change.options.empty())
    return fail(Code::kInvalidArgument, "update {}: neither labels nor options to change", name);
  ASSIGN_OR_RETURN(auto volume, impl.parts.volumes.update(VolumeName(name), change,
                                                          impl.mounts.judge_for(requester)));
  impl.publish_volume("update", volume->name, {{"driver", volume->driver}});
  return volume_json(*volume);
}

Result<json::Object> Engine::rename_volume(const std::string& name, const std::string& new_name) {
  auto& impl = *impl_;
  VolumeName from(name), to(new_name);
  ASSIGN_OR_RETURN(auto volume, impl.parts.volumes.get(from));
  RestingHolders holders(impl, from);
  RETURN_IF_ERROR(holders.hold());
  auto renamed = impl.parts.volumes.rename(from, to, holders.ids(), holders.renamed_records(to));
  if (!renamed) return tl::unexpected(std::move(renamed).error());
  holders.rename(to);
  impl.publish_volume("rename", to, {{"driver", (*renamed)->driver}, {"oldName", name}});
  return volume_json(**renamed);
}

}  // namespace holdfast
