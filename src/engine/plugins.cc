#include "base/sha256.h"
#include "engine/engine_impl.h"

// Docker's client lists managed plugins, which come as images. Here the plugins that were
// discovered in the plugin directories are shown in their form: nothing of it can be set, and
// whether one is enabled is whether it answers.
namespace holdfast {
namespace {

// "VolumeDriver" as "docker.volumedriver/1.0".
std::string type_of(std::string interface) {
  std::transform(interface.begin(), interface.end(), interface.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return fmt::format("docker.{}/1.0", interface);
}

json::Array types_of(const PluginState& plugin) {
  json::Array types;
  for (const auto& interface : plugin.implements) types.push_back(json::Value(type_of(interface)));
  return types;
}

std::string description_of(const PluginState& plugin) {
  if (plugin.answers) return plugin.address;
  return fmt::format("{}: {}", plugin.address, plugin.problem);
}

// There is no id but the name: a plugin is the same wherever it listens.
std::string id_of(const PluginState& plugin) { return sha256_hex("plugin " + plugin.name); }

json::Object plugin_json(const PluginState& plugin) {
  json::Object interface {
    {"Types", types_of(plugin)}, {"Socket", plugin.address}, {
      "ProtocolScheme", "moby.plugins.http/v1"
    }
  };
  json::Object config{{"Description", description_of(plugin)},
                      {"Documentation", ""},
                      {"Interface", std::move(interface)},
                      {"Entrypoint", json::Array{}},
                      {"WorkDir", ""},
                      {"User", json::Object{}},
                      {"Network", json::Object{{"Type", "host"}}},
                      {"Linux", json::Object{{"Capabilities", json::Array{}},
                                             {"AllowAllDevices", false},
                                             {"Devices", json::Array{}}}},
                      {"PropagatedMount", ""},
                      {"IpcHost", false},
                      {"PidHost", false},
                      {"Mounts", json::Array{}},
                      {"Env", json::Array{}},
                      {"Args", json::Object{{"Name", ""},
                                            {"Description", ""},
                                            {"Settable", json::Array{}},
                                            {"Value", json::Array{}}}}};
  json::Object settings{{"Mounts", json::Array{}},
                        {"Env", json::Array{}},
                        {"Args", json::Array{}},
                        {"Devices", json::Array{}}};
  return json::Object{{"Id", id_of(plugin)},
                      {"Name", plugin.name},
                      {"Enabled", plugin.answers},
                      {"Settings", std::move(settings)},
                      {"PluginReference", plugin.found_at},
                      {"Config", std::move(config)}};
}

// The filters of GET /plugins: capability=volumedriver, enabled=true.
Result<bool> matches(const PluginState& plugin, const FilterMap& filters) {
  bool matched = true;
  for (const auto& [key, value] : filters) {
    if (key == "enabled") {
      if (value != "true" && value != "false" && value != "1" && value != "0")
        return fail(Code::kInvalidArgument, "invalid filter 'enabled={}'", value);
      matched = matched && plugin.answers == (value == "true" || value == "1");
    } else if (key == "capability") {
      std::string wanted = type_of(value);
      matched = matched && std::any_of(plugin.implements.begin(), plugin.implements.end(),
                                       [&](const auto& has) { return type_of(has) == wanted; });
    } else {
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
  }
  return matched;
}

}  // namespace

Result<json::Array> Engine::list_plugins(const FilterMap& filters) const {
  RETURN_IF_ERROR(matches({}, filters).map([](bool) {}));
  json::Array list;
  for (const auto& plugin : impl_->parts.volumes.plugins()) {
    ASSIGN_OR_RETURN(bool wanted, matches(plugin, filters));
    if (wanted) list.push_back(plugin_json(plugin));
  }
  return list;
}

Result<json::Object> Engine::inspect_plugin(const std::string& name) const {
  for (const auto& plugin : impl_->parts.volumes.plugins()) {
    if (plugin.name == name || plugin.name + ":latest" == name ||
        (name.size() >= 12 && id_of(plugin).starts_with(name)))
      return plugin_json(plugin);
  }
  return fail(Code::kNotFound, "plugin \"{}\" not found", name);
}

}  // namespace holdfast
