#include <algorithm>

#include "engine/container_filter.h"
#include "engine/engine_impl.h"

namespace holdfast {
namespace {

json::Object volume_json(const Volume& volume, const std::string& scope = "local") {
  json::Object out{
      {"CreatedAt", to_rfc3339(Time(std::chrono::floor<std::chrono::seconds>(volume.created)))},
      {"Driver", volume.driver},
      {"Labels",
       volume.labels.empty() ? json::Value() : json::Value(json::from_string_map(volume.labels))},
      {"Mountpoint", volume.mountpoint},
      {"Name", volume.name.str()},
      {"Options",
       volume.options.empty() ? json::Value() : json::Value(json::from_string_map(volume.options))},
      {"Scope", scope}};
  return out;
}

bool truthy(const std::string& value) {
  return value == "1" || value == "true" || value == "True" || value == "TRUE" || value == "t";
}
bool falsy(const std::string& value) {
  return value == "0" || value == "false" || value == "False" || value == "FALSE" || value == "f";
}

Status check_boolean(const std::string& key, const std::string& value) {
  if (truthy(value) || falsy(value)) return {};
  return fail(Code::kInvalidArgument, "invalid filter '{}={}'", key, value);
}

// The filters of GET /volumes.
class VolumeFilter {
 public:
  static Result<VolumeFilter> parse(const FilterMap& filters) {
    static const std::set<std::string> kKeys = {"dangling", "name", "driver", "label"};
    for (const auto& [key, value] : filters) {
      if (!kKeys.contains(key)) return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
      if (key == "dangling") RETURN_IF_ERROR(check_boolean(key, value));
    }
    VolumeFilter filter;
    filter.filters_ = filters;
    return filter;
  }

  bool matches(const Volume& volume, bool in_use) const {
    json::Object labels = json::from_string_map(volume.labels);
    for (auto key = filters_.begin(); key != filters_.end();
         key = filters_.upper_bound(key->first)) {
      auto [first, last] = filters_.equal_range(key->first);
      auto one = [&](const auto& entry) {
        if (entry.first == "dangling") return truthy(entry.second) != in_use;
        if (entry.first == "driver") return volume.driver == entry.second;
        if (entry.first == "label") return has_label(labels, entry.second);
        return volume.name.str().find(entry.second) != std::string::npos;
      };
      bool matched =
          key->first == "label" ? std::all_of(first, last, one) : std::any_of(first, last, one);
      if (!matched) return false;
    }
    return true;
  }

 private:
  FilterMap filters_;
};

// The filters of POST /volumes/prune: label, label!, all. Before API 1.42 named volumes went by
// default.
class VolumePruneFilter {
 public:
  static Result<VolumePruneFilter> parse(const FilterMap& filters, const std::string& api_version) {
    VolumePruneFilter filter;
    filter.all_ = api_version.size() == 4 && api_version < "1.42";
    for (const auto& [key, value] : filters) {
      if (key == "all") {
        RETURN_IF_ERROR(check_boolean(key, value));
        filter.all_ = truthy(value);
      } else if (key == "label" || key == "label!") {
        filter.labels_.emplace(key, value);
      } else {
        return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
      }
    }
    return filter;
  }

  bool operator()(const Volume& volume) const {
    if (!all_ && !volume.anonymous()) return false;
    json::Object labels = json::from_string_map(volume.labels);
    return std::all_of(labels_.begin(), labels_.end(), [&](const auto& entry) {
      return has_label(labels, entry.second) == (entry.first == "label");
    });
  }

 private:
  FilterMap labels_;
  bool all_ = false;
};

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

Result<json::Object> Engine::list_volumes(const FilterMap& filters) const {
  auto& volumes = impl_->parts.volumes;
  ASSIGN_OR_RETURN(auto filter, VolumeFilter::parse(filters));
  auto all = volumes.list_all();
  json::Array list;
  for (const auto& volume : all.volumes) {
    bool in_use = filters.contains("dangling") && !volumes.holders(volume->name).empty();
    if (!filter.matches(*volume, in_use)) continue;
    auto scope = all.scopes.find(volume->driver);
    list.push_back(volume_json(*volume, scope == all.scopes.end() ? "local" : scope->second));
  }
  return json::Object{
      {"Volumes", std::move(list)},
      {"Warnings",
       all.warnings.empty() ? json::Value() : json::Value(json::from_strings(all.warnings))}};
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
  RETURN_IF_ERROR(removed);
  impl.publish_volume("destroy", VolumeName(name),
                      {{"driver", volume ? (*volume)->driver : "local"}});
  return {};
}

Result<json::Object> Engine::prune_volumes(const FilterMap& filters,
                                           const std::string& api_version) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto wanted, VolumePruneFilter::parse(filters, api_version));
  ASSIGN_OR_RETURN(auto pruned, impl.parts.volumes.prune(wanted));
  json::Array deleted;
  for (const auto& volume : pruned.removed) {
    deleted.push_back(json::Value(volume->name.str()));
    impl.publish_volume("destroy", volume->name, {{"driver", volume->driver}});
  }
  events().publish("volume", "prune", "", {{"reclaimed", std::to_string(pruned.bytes)}});
  return json::Object{{"VolumesDeleted", std::move(deleted)}, {"SpaceReclaimed", pruned.bytes}};
}

}  // namespace holdfast
