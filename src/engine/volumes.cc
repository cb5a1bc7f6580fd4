#include "engine/engine_impl.h"
#include "engine/volume_filter.h"
#include "engine/volume_holders.h"
#include "engine/volume_json.h"

namespace holdfast {
Result<json::Object> Engine::create_volume(const json::Object& body, const Requester& requester) {
  auto& impl = *impl_;
  VolumeSpec spec;
  ASSIGN_OR_RETURN(spec.name, json::get_string(body, "Name"));
  ASSIGN_OR_RETURN(spec.driver, json::get_string(body, "Driver"));
  ASSIGN_OR_RETURN(spec.options, json::get_string_map(body, "DriverOpts"));
  ASSIGN_OR_RETURN(spec.labels, json::get_string_map(body, "Labels"));
  if (json::find(body, "ClusterVolumeSpec")) {
    return fail(Code::kUnavailable,
                "volume {}: cluster volumes need a swarm, which this engine is not part of",
                spec.name);
  }
  ASSIGN_OR_RETURN(auto created,
                   impl.parts.volumes.create(spec, {}, impl.mounts.judge_for(requester)));
  if (!created.existed)
    impl.publish_volume("create", created.volume->name, {{"driver", created.volume->driver}});
  return volume_json(*created.volume);
}

Status Engine::remove_volume(const std::string& name, bool force) {
  auto& impl = *impl_;
  auto volume = impl.parts.volumes.get(VolumeName(name));
  auto removed = impl.parts.volumes.remove(VolumeName(name), force);
  if (!removed && force && removed.error().code == Code::kNotFound) return {};
  if (!removed && removed.error().code == Code::kConflict) {
    return tl::unexpected(with_holders_named(std::move(removed).error(), impl.table,
                                             impl.parts.volumes.holders(VolumeName(name))));
  }
  RETURN_IF_ERROR(removed);
  impl.publish_volume("destroy", VolumeName(name),
                      {{"driver", volume ? (*volume)->driver : "local"}});
  return {};
}

Result<json::Object> Engine::prune_volumes(const FilterMap& filters,
                                           const std::string& api_version) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto filter,
                   VolumeFilter::for_pruning(filters, api_version, impl.parts.volumes));
  ASSIGN_OR_RETURN(auto pruned, impl.parts.volumes.prune([&](const Volume& volume) {
    return filter.matches(volume, false, "local");
  }));
  json::Array deleted;
  for (const auto& volume : pruned.removed) {
    deleted.push_back(json::Value(volume->name.str()));
    impl.publish_volume("destroy", volume->name, {{"driver", volume->driver}});
  }
  events().publish("volume", "prune", "", {{"reclaimed", std::to_string(pruned.bytes)}});
  return json::Object{{"VolumesDeleted", std::move(deleted)}, {"SpaceReclaimed", pruned.bytes}};
}

}  // namespace holdfast
