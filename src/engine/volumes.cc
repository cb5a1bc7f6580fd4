#include "engine/engine_impl.h"
#include "engine/volume_filter.h"
#include "engine/volume_json.h"

namespace holdfast {
namespace {

// "container \"db\" (running)"; a holder that is no container yet is one that is being made.
std::string holder_text(const ContainerTable& table, const HolderId& holder) {
  auto container = table.find(holder.str());
  if (!container || (*container)->id.str() != holder.str()) return "a container being created";
  auto data = (*container)->view();
  return fmt::format("container \"{}\" ({})", data.name, to_string(data.state.status));
}

// Docker's words have the ids alone, and stay in front for those who read them by program.
Error with_holders_named(Error error, const ContainerTable& table,
                         const std::vector<HolderId>& holders) {
  std::string text;
  for (const auto& holder : holders)
    text += (text.empty() ? "" : ", ") + holder_text(table, holder);
  if (!text.empty()) error.message += ": " + text;
  return error;
}

}  // namespace

Result<json::Object> Engine::create_volume(const json::Object& body) {
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
  ASSIGN_OR_RETURN(auto created, impl.parts.volumes.create(spec));
  if (!created.existed)
    impl.publish_volume("create", created.volume->name, {{"driver", created.volume->driver}});
  return volume_json(*created.volume);
}

Result<std::string> Engine::list_volumes(const FilterMap& filters) const {
  constexpr std::size_t kUsualSize = 256;
  auto& volumes = impl_->parts.volumes;
  ASSIGN_OR_RETURN(auto filter, VolumeFilter::for_listing(filters, volumes));
  auto all = volumes.list_all();
  std::string text = "{\"Volumes\":[";
  text.reserve(all.volumes.size() * kUsualSize);
  for (const auto& [volume, holders] : all.volumes) {
    const auto& scope = all.scope_of(*volume);
    if (!filter.matches(*volume, holders > 0, scope)) continue;
    if (text.back() == '}') text += ',';
    append_volume_json(text, *volume, scope);
  }
  text += "],\"Warnings\":";
  text += all.warnings.empty() ? "null" : json::serialize(json::from_strings(all.warnings));
  text += "}\n";
  return text;
}

Result<json::Object> Engine::inspect_volume(const std::string& name) const {
  ASSIGN_OR_RETURN(auto look, impl_->parts.volumes.look(VolumeName(name)));
  auto out = volume_json(*look.volume, look.sight.scope);
  out["Mountpoint"] = look.sight.mountpoint;
  if (!look.problem.empty()) look.sight.status["Error"] = look.problem;
  if (!look.sight.status.empty()) out["Status"] = std::move(look.sight.status);
  return out;
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
