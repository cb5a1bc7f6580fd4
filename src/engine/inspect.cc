#include "engine/inspect.h"

#include <algorithm>

namespace holdfast {
namespace {

std::string with_slash(const std::string& name) { return "/" + name; }

// The program and its arguments as they are run: the entrypoint first.
std::vector<std::string> command_line(const json::Object& config) {
  auto words = json::strings_or_empty(config, "Entrypoint");
  auto command = json::strings_or_empty(config, "Cmd");
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

json::Object state_json(const ContainerData& data) {
  const auto& state = data.state;
  bool restarting = state.status == ContainerStatus::kRestarting;
  return json::Object{{"Status", to_string(state.status)},
                      {"Running", state.running() || restarting},
                      {"Paused", state.status == ContainerStatus::kPaused},
                      {"Restarting", restarting},
                      {"OOMKilled", state.oom_killed},
                      {"Dead", state.status == ContainerStatus::kDead},
                      {"Pid", state.running() ? data.pid : 0},
                      {"ExitCode", state.exit_code},
                      {"Error", state.error},
                      {"StartedAt", to_rfc3339(state.started_at)},
                      {"FinishedAt", to_rfc3339(state.finished_at)}};
}

std::vector<std::string> exposed_ports(const json::Object& config) {
  std::vector<std::string> ports;
  for (const auto& [port, ignored] : json::object_or_empty(config, "ExposedPorts"))
    ports.emplace_back(port);
  return ports;
}

json::Object endpoints_json(const ContainerData& data) {
  json::Object networks;
  for (const auto& endpoint : data.endpoints) {
    networks[endpoint.network_name.empty() ? endpoint.network : endpoint.network_name] =
        endpoint.to_json();
  }
  return networks;
}

json::Object network_settings_json(const Container& container, const ContainerData& data) {
  bool running = data.state.running();
  json::Object ports =
      running ? ports_json(exposed_ports(data.config), data.ports) : json::Object{};
  json::Object settings{{"Bridge", ""},
                        {"SandboxID", running ? container.id.str() : ""},
                        {"SandboxKey", ""},
                        {"Ports", std::move(ports)},
                        {"HairpinMode", false},
                        {"LinkLocalIPv6Address", ""},
                        {"LinkLocalIPv6PrefixLen", 0},
                        {"SecondaryIPAddresses", nullptr},
                        {"SecondaryIPv6Addresses", nullptr}};
  // The default bridge's endpoint is repeated at the top, as old clients expect it.
  auto bridge =
      std::find_if(data.endpoints.begin(), data.endpoints.end(), [](const Endpoint& endpoint) {
        return endpoint.network == "bridge" || endpoint.network_name == "bridge";
      });
  const Endpoint none;
  const Endpoint& top = bridge == data.endpoints.end() ? none : *bridge;
  settings["EndpointID"] = top.endpoint_id;
  settings["Gateway"] = top.ipv4_gateway;
  settings["GlobalIPv6Address"] = top.ipv6;
  settings["GlobalIPv6PrefixLen"] = top.ipv6_prefix;
  settings["IPAddress"] = top.ipv4;
  settings["IPPrefixLen"] = top.ipv4_prefix;
  settings["IPv6Gateway"] = top.ipv6_gateway;
  settings["MacAddress"] = top.mac;
  settings["Networks"] = endpoints_json(data);
  return settings;
}

json::Object mount_json(const MountPoint& mount, const VolumeMountpoint& mountpoint_of) {
  json::Object out{{"Type", to_string(mount.type)}};
  if (mount.type == MountType::kVolume) {
    out["Name"] = mount.source;
    out["Source"] = mountpoint_of(mount.source);
  } else {
    out["Source"] = mount.source;
  }
  out["Destination"] = mount.target;
  if (mount.type == MountType::kVolume)
    out["Driver"] = mount.driver.empty() ? "local" : mount.driver;
  out["Mode"] = mount.mode;
  out["RW"] = !mount.read_only;
  out["Propagation"] = mount.propagation;
  return out;
}

// The Command column: arguments with blanks in quotes, as Docker shows them.
std::string command_text(const json::Object& config) {
  auto words = command_line(config);
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i].find(' ') != std::string::npos) words[i] = "'" + words[i] + "'";
  }
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace

json::Array mounts_json(const std::vector<MountPoint>& mounts,
                        const VolumeMountpoint& mountpoint_of) {
  json::Array out;
  for (const auto& mount : mounts) {
    if (mount.listed) out.push_back(mount_json(mount, mountpoint_of));
  }
  return out;
}

json::Object inspect_json(const Container& container, const ContainerFiles& files,
                          const VolumeMountpoint& mountpoint_of,
                          const std::vector<std::string>& exec_ids,
                          const std::optional<ContainerSize>& size) {
  ContainerData data = container.view();
  auto words = command_line(data.config);
  json::Object out{
      {"Id", container.id.str()},
      {"Created", to_rfc3339(container.created)},
      {"Path", words.empty() ? "" : words[0]},
      {"Args", json::from_strings({words.empty() ? words.end() : words.begin() + 1, words.end()})},
      {"State", state_json(data)},
      {"Image", container.image.str()},
      {"ResolvConfPath", files.folder + "/resolv.conf"},
      {"HostnamePath", files.folder + "/hostname"},
      {"HostsPath", files.folder + "/hosts"},
      {"LogPath", files.log},
      {"Name", with_slash(data.name)},
      {"RestartCount", data.restart_count},
      {"Driver", "overlay2"},
      {"Platform", "linux"},
      {"MountLabel", ""},
      {"ProcessLabel", ""},
      {"AppArmorProfile", ""},
      {"ExecIDs", exec_ids.empty() ? json::Value() : json::Value(json::from_strings(exec_ids))},
      {"HostConfig", data.host_config},
      {"GraphDriver", json::Object{{"Name", "overlay2"},
                                   {"Data", json::Object{{"UpperDir", files.folder + "/upper"},
                                                         {"WorkDir", files.folder + "/work"}}}}},
  };
  if (size) {
    out["SizeRw"] = size->writable;
    out["SizeRootFs"] = size->root;
  }
  out["Mounts"] = mounts_json(data.mounts, mountpoint_of);
  // Clients index into ExposedPorts and HostConfig.PortBindings; an absent map is fine, a null one
  // is not for all.
  out["Config"] = data.config;
  out["NetworkSettings"] = network_settings_json(container, data);
  return out;
}

json::Object summary_json(const Container& container, const std::string& image_name,
                          const VolumeMountpoint& mountpoint_of,
                          const std::optional<ContainerSize>& size) {
  ContainerData data = container.view();
  json::Object out{
      {"Id", container.id.str()},
      {"Names", json::Array{with_slash(data.name)}},
      {"Image", image_name},
      {"ImageID", container.image.str()},
      {"Command", command_text(data.config)},
      {"Created",
       std::chrono::duration_cast<std::chrono::seconds>(container.created.time_since_epoch())
           .count()},
      {"Ports", data.state.running() ? ports_summary_json(exposed_ports(data.config), data.ports)
                                     : json::Array{}},
      {"Labels", json::object_or_empty(data.config, "Labels")},
      {"State", to_string(data.state.status)},
      {"Status", status_text(data.state, now())},
      {"HostConfig",
       json::Object{{"NetworkMode", json::string_or(data.host_config, "NetworkMode")}}},
      {"NetworkSettings", json::Object{{"Networks", endpoints_json(data)}}},
      {"Mounts", mounts_json(data.mounts, mountpoint_of)}};
  if (size) {
    out["SizeRw"] = size->writable;
    out["SizeRootFs"] = size->root;
  }
  return out;
}

std::string human_duration(std::chrono::nanoseconds duration) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  auto minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  auto hours = (seconds + 1800) / 3600;
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", hours / 24 / 365);
}

std::string status_text(const ContainerState& state, Time reference) {
  switch (state.status) {
    case ContainerStatus::kCreated:
      return "Created";
    case ContainerStatus::kRunning:
      return "Up " + human_duration(reference - state.started_at);
    case ContainerStatus::kPaused:
      return "Up " + human_duration(reference - state.started_at) + " (Paused)";
    case ContainerStatus::kRestarting:
      return fmt::format("Restarting ({}) {} ago", state.exit_code,
                         human_duration(reference - state.finished_at));
    case ContainerStatus::kExited:
      return fmt::format("Exited ({}) {} ago", state.exit_code,
                         human_duration(reference - state.finished_at));
    case ContainerStatus::kRemoving:
      return "Removal In Progress";
    case ContainerStatus::kDead:
      return "Dead";
  }
  return "";
}

}  // namespace holdfast
