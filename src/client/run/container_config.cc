#include "client/run/container_config.h"

#include <algorithm>

#include "base/file.h"
#include "client/run/mount_spec.h"
#include "client/run/network_spec.h"
#include "client/run/port_spec.h"
#include "client/run/secret_spec.h"
#include "client/run/value_specs.h"

namespace holdfast::client {
namespace {

using Strings = std::vector<std::string>;

void put(json::Object& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}
void put(json::Object& object, std::string_view key, const Strings& values) {
  if (!values.empty()) object[key] = json::from_strings(values);
}
void put(json::Object& object, std::string_view key, bool value) {
  if (value) object[key] = true;
}
void put(json::Object& object, std::string_view key, const std::optional<std::int64_t>& value) {
  if (value) object[key] = *value;
}

template <typename Parse>
Status put_each(json::Object& object, std::string_view key, const Strings& values, Parse parse) {
  json::Array list;
  for (const auto& value : values) {
    ASSIGN_OR_RETURN(auto parsed, parse(value));
    list.emplace_back(std::move(parsed));
  }
  if (!list.empty()) object[key] = std::move(list);
  return {};
}

bool attached(const ContainerOptions& options, std::string_view lower, std::string_view upper) {
  return std::any_of(options.attach.begin(), options.attach.end(),
                     [&](const std::string& name) { return name == lower || name == upper; });
}

Status add_process(const ContainerOptions& options, const Strings& command, json::Object& config) {
  bool all = options.attach.empty();
  config["AttachStdin"] = options.interactive || attached(options, "stdin", "STDIN");
  config["AttachStdout"] = all || attached(options, "stdout", "STDOUT");
  config["AttachStderr"] = all || attached(options, "stderr", "STDERR");
  config["Tty"] = options.tty;
  config["OpenStdin"] = options.interactive;
  config["StdinOnce"] = options.interactive;
  Strings environment;
  for (const auto& path : options.environment_files) {
    ASSIGN_OR_RETURN(auto pairs, read_pairs_file(path, true));
    environment.insert(environment.end(), pairs.begin(), pairs.end());
  }
  for (const auto& text : options.environment) environment.push_back(resolve_environment(text));
  put(config, "Env", environment);
  put(config, "Cmd", command);
  if (options.entrypoint) config["Entrypoint"] = json::Array{json::Value(*options.entrypoint)};
  put(config, "User", options.user);
  put(config, "WorkingDir", options.workdir);
  put(config, "Hostname", options.hostname);
  put(config, "Domainname", options.domainname);
  put(config, "StopSignal", options.stop_signal);
  put(config, "StopTimeout", options.stop_timeout);
  Strings labels;
  for (const auto& path : options.label_files) {
    ASSIGN_OR_RETURN(auto pairs, read_pairs_file(path, false));
    labels.insert(labels.end(), pairs.begin(), pairs.end());
  }
  labels.insert(labels.end(), options.labels.begin(), options.labels.end());
  if (!labels.empty()) config["Labels"] = pairs_to_object(labels);
  return {};
}

Status add_storage(const ContainerOptions& options, json::Object& config, json::Object& host) {
  json::Object anonymous;
  Strings binds;
  for (const auto& text : options.volumes) {
    ASSIGN_OR_RETURN(auto volume, parse_volume_spec(text));
    if (volume.anonymous)
      anonymous[volume.bind] = json::Object{};
    else
      binds.push_back(volume.bind);
  }
  if (!anonymous.empty()) config["Volumes"] = anonymous;
  put(host, "Binds", binds);
  RETURN_IF_ERROR(put_each(host, "Mounts", options.mounts, parse_mount_spec));
  json::Object tmpfs;
  for (const auto& text : options.tmpfs) {
    auto colon = std::find(text.begin(), text.end(), ':');
    tmpfs[std::string(text.begin(), colon)] =
        colon == text.end() ? std::string() : std::string(colon + 1, text.end());
  }
  if (!tmpfs.empty()) host["Tmpfs"] = tmpfs;
  RETURN_IF_ERROR(put_each(host, "Secrets", options.secrets, parse_secret_spec));
  put(host, "VolumesFrom", options.volumes_from);
  put(host, "VolumeDriver", options.volume_driver);
  for (const auto& text : options.storage_options)
    if (std::find(text.begin(), text.end(), '=') == text.end())
      return fail(Code::kInvalidArgument, "invalid storage option");
  if (!options.storage_options.empty())
    host["StorageOpt"] = pairs_to_object(options.storage_options);
  put(host, "ReadonlyRootfs", options.read_only);
  put(host, "ShmSize", options.shm_size);
  return {};
}

Status check_mac(const std::string& mac) {
  bool valid = mac.size() == 17;
  for (std::size_t i = 0; i < mac.size() && valid; ++i)
    valid = i % 3 == 2 ? mac[i] == ':' || mac[i] == '-'
                       : std::isxdigit(static_cast<unsigned char>(mac[i])) != 0;
  if (!valid) return fail(Code::kInvalidArgument, "{} is not a valid mac address", mac);
  return {};
}

// --network-alias, --ip and the like are about the first --network.
Status add_endpoint_options(const ContainerOptions& options, NetworkSpec& first) {
  bool user_defined = is_user_defined_network(first.name);
  if (!options.network_aliases.empty() && !user_defined)
    return fail(Code::kInvalidArgument,
                "network-scoped aliases are only supported for user-defined networks");
  auto conflict = [&](std::string_view flag, std::string_view what) {
    return fail(Code::kInvalidArgument,
                "conflicting options: cannot specify both --{} and per-network {}", flag, what);
  };
  for (const auto& alias : options.network_aliases) append_string(first.endpoint, "Aliases", alias);
  if (user_defined)
    for (const auto& link : options.links) append_string(first.endpoint, "Links", link);
  bool addressed = !options.ip.empty() || !options.ip6.empty() || !options.link_local_ips.empty();
  if (addressed) {
    json::Value& ipam = first.endpoint["IPAMConfig"];
    if (!ipam.is_object()) ipam.emplace_object();
    json::Object& settings = ipam.get_object();
    if (!options.ip.empty() && settings.contains("IPv4Address"))
      return conflict("ip", "IPv4 address");
    if (!options.ip6.empty() && settings.contains("IPv6Address"))
      return conflict("ip6", "IPv6 address");
    put(settings, "IPv4Address", options.ip);
    put(settings, "IPv6Address", options.ip6);
    for (const auto& address : options.link_local_ips)
      append_string(settings, "LinkLocalIPs", address);
  }
  if (!options.mac_address.empty()) {
    if (first.endpoint.contains("MacAddress")) return conflict("mac-address", "MAC address");
    RETURN_IF_ERROR(check_mac(options.mac_address));
    first.endpoint["MacAddress"] = options.mac_address;
  }
  return {};
}

Status add_networks(const ContainerOptions& options, json::Object& config, json::Object& host) {
  PortMap ports;
  for (const auto& text : options.publish) RETURN_IF_ERROR(add_published_port(text, ports));
  for (const auto& text : options.expose) RETURN_IF_ERROR(add_exposed_port(text, ports));
  if (!ports.exposed.empty()) config["ExposedPorts"] = ports.exposed;
  if (!ports.bindings.empty()) host["PortBindings"] = ports.bindings;
  put(host, "PublishAllPorts", options.publish_all);

  std::vector<NetworkSpec> networks;
  for (const auto& text : options.networks) {
    ASSIGN_OR_RETURN(auto network, parse_network_spec(text));
    networks.push_back(std::move(network));
  }
  if (networks.empty()) networks.push_back({"default", {}});
  if (networks[0].name.empty()) networks[0].name = "default";
  RETURN_IF_ERROR(add_endpoint_options(options, networks[0]));
  host["NetworkMode"] = networks[0].name;
  if (!options.mac_address.empty()) config["MacAddress"] = options.mac_address;
  if (!options.links.empty() && !is_user_defined_network(networks[0].name))
    put(host, "Links", options.links);
  json::Object endpoints;
  for (const auto& network : networks) {
    if (network.name == "host" || network.name == "none" || network.name.starts_with("container:"))
      if (networks.size() > 1)
        return fail(Code::kInvalidArgument,
                    "conflicting options: cannot attach both user-defined and non-user-defined "
                    "network-modes");
    if (endpoints.contains(network.name))
      return fail(Code::kInvalidArgument, "network \"{}\" is specified multiple times",
                  network.name);
    if (!network.name.starts_with("container:")) endpoints[network.name] = network.endpoint;
  }
  config["NetworkingConfig"] = json::Object{{"EndpointsConfig", endpoints}};
  put(host, "Dns", options.dns);
  put(host, "DnsOptions", options.dns_options);
  put(host, "DnsSearch", options.dns_search);
  return put_each(host, "ExtraHosts", options.extra_hosts, parse_extra_host);
}

// seccomp=FILE is sent with the file's contents in place of its name.
Status add_security(const ContainerOptions& options, json::Object& host) {
  Strings result;
  for (const auto& text : options.security_options) {
    auto equals = std::find(text.begin(), text.end(), '=');
    std::string key(text.begin(), equals);
    std::string value = equals == text.end() ? "" : std::string(equals + 1, text.end());
    if (equals == text.end() && key != "no-new-privileges") {
      auto colon = std::find(text.begin(), text.end(), ':');
      if (colon == text.end())
        return fail(Code::kInvalidArgument, "Invalid --security-opt: \"{}\"", text);
      key.assign(text.begin(), colon);
      value.assign(colon + 1, text.end());
    }
    if (key == "systempaths" && value == "unconfined") {
      host["MaskedPaths"] = json::Array{};
      host["ReadonlyPaths"] = json::Array{};
      continue;
    }
    if (key == "seccomp" && value != "unconfined" && value != "builtin") {
      auto profile = read_file(value);
      if (!profile)
        return fail(Code::kInvalidArgument, "opening seccomp profile ({}) failed: open {}: {}",
                    value, value, "no such file or directory");
      ASSIGN_OR_RETURN(auto parsed, json::parse(*profile).map_error([&](Error error) {
        return std::move(error).wrap(
            fmt::format("compacting json for seccomp profile ({})", value));
      }));
      result.push_back("seccomp=" + json::serialize(parsed));
      continue;
    }
    result.push_back(text);
  }
  put(host, "SecurityOpt", result);
  return {};
}

Status check_mode(std::string_view flag, std::string_view kind, const std::string& value,
                  std::initializer_list<std::string_view> words, bool container) {
  if (value.empty() || (container && value.starts_with("container:") && value.size() > 10))
    return {};
  if (std::find(words.begin(), words.end(), value) != words.end()) return {};
  return fail(Code::kInvalidArgument, "--{}: invalid {} mode", flag, kind);
}

Status add_isolation(const ContainerOptions& options, json::Object& host) {
  RETURN_IF_ERROR(check_mode("pid", "PID", options.pid, {"host", "private"}, true));
  RETURN_IF_ERROR(check_mode("uts", "UTS", options.uts, {"host"}, false));
  bool own_users = options.userns == "private" || options.userns.starts_with("auto");
  if (!own_users) RETURN_IF_ERROR(check_mode("userns", "USER", options.userns, {"host"}, false));
  RETURN_IF_ERROR(check_mode("cgroupns", "CGROUP", options.cgroupns, {"host", "private"}, false));
  put(host, "Privileged", options.privileged);
  auto add = normal_capabilities(options.cap_add);
  auto drop = normal_capabilities(options.cap_drop);
  std::erase_if(drop, [&](const std::string& name) {
    return std::find(add.begin(), add.end(), name) != add.end();
  });
  put(host, "CapAdd", add);
  put(host, "CapDrop", drop);
  put(host, "GroupAdd", options.group_add);
  RETURN_IF_ERROR(add_security(options, host));
  if (!options.sysctls.empty()) host["Sysctls"] = pairs_to_object(options.sysctls);
  RETURN_IF_ERROR(put_each(host, "Devices", options.devices, parse_device));
  put(host, "DeviceCgroupRules", options.device_cgroup_rules);
  put(host, "IpcMode", options.ipc);
  put(host, "PidMode", options.pid);
  put(host, "UTSMode", options.uts);
  put(host, "UsernsMode", options.userns);
  put(host, "CgroupnsMode", options.cgroupns);
  put(host, "Runtime", options.runtime);
  put(host, "CgroupParent", options.cgroup_parent);
  put(host, "Isolation", options.isolation);
  if (!options.gpus.empty())
    host["DeviceRequests"] =
        json::Array{json::Object{{"Count", -1}, {"Capabilities", json::Array{json::Array{"gpu"}}}}};
  if (!options.annotations.empty()) host["Annotations"] = pairs_to_object(options.annotations);
  return {};
}

Status add_limits(const ContainerOptions& options, json::Object& host) {
  if (auto value = options.memory_swappiness; value && (*value < -1 || *value > 100))
    return fail(Code::kInvalidArgument, "invalid value: {}. Valid memory swappiness range is 0-100",
                *value);
  put(host, "Memory", options.memory);
  put(host, "MemoryReservation", options.memory_reservation);
  put(host, "MemorySwap", options.memory_swap);
  put(host, "MemorySwappiness", options.memory_swappiness);
  put(host, "KernelMemory", options.kernel_memory);
  put(host, "NanoCpus", options.nano_cpus);
  put(host, "CpuShares", options.cpu_shares);
  put(host, "CpuPeriod", options.cpu_period);
  put(host, "CpuQuota", options.cpu_quota);
  put(host, "CpuRealtimePeriod", options.cpu_rt_period);
  put(host, "CpuRealtimeRuntime", options.cpu_rt_runtime);
  put(host, "CpusetCpus", options.cpuset_cpus);
  put(host, "CpusetMems", options.cpuset_mems);
  put(host, "PidsLimit", options.pids_limit);
  put(host, "OomScoreAdj", options.oom_score_adj);
  put(host, "OomKillDisable", options.oom_kill_disable);
  put(host, "BlkioWeight", options.blkio_weight);
  RETURN_IF_ERROR(put_each(host, "Ulimits", options.ulimits, parse_ulimit));
  auto size = [](const std::string& text) { return parse_device_rate(text, true); };
  auto count = [](const std::string& text) { return parse_device_rate(text, false); };
  auto weight = [](const std::string& text) -> Result<json::Object> {
    ASSIGN_OR_RETURN(auto rate, parse_device_rate(text, false));
    return json::Object{{"Path", rate["Path"]}, {"Weight", rate["Rate"]}};
  };
  RETURN_IF_ERROR(put_each(host, "BlkioWeightDevice", options.blkio_weight_devices, weight));
  RETURN_IF_ERROR(put_each(host, "BlkioDeviceReadBps", options.read_bps, size));
  RETURN_IF_ERROR(put_each(host, "BlkioDeviceWriteBps", options.write_bps, size));
  RETURN_IF_ERROR(put_each(host, "BlkioDeviceReadIOps", options.read_iops, count));
  return put_each(host, "BlkioDeviceWriteIOps", options.write_iops, count);
}

Status add_health(const ContainerOptions& options, json::Object& config) {
  bool given = options.health_cmd || options.health_interval || options.health_timeout ||
               options.health_start_period || options.health_start_interval ||
               options.health_retries;
  if (options.no_healthcheck && given)
    return fail(Code::kInvalidArgument, "--no-healthcheck conflicts with --health-* options");
  if (options.no_healthcheck) {
    config["Healthcheck"] = json::Object{{"Test", json::Array{"NONE"}}};
    return {};
  }
  if (!given) return {};
  json::Object health;
  if (options.health_cmd && !options.health_cmd->empty())
    health["Test"] = json::Array{"CMD-SHELL", json::Value(*options.health_cmd)};
  struct Span {
    std::string_view flag, member;
    const std::optional<std::int64_t>& value;
  };
  for (const auto& [flag, member, value] :
       {Span{"interval", "Interval", options.health_interval},
        Span{"timeout", "Timeout", options.health_timeout},
        Span{"start-period", "StartPeriod", options.health_start_period},
        Span{"start-interval", "StartInterval", options.health_start_interval},
        Span{"retries", "Retries", options.health_retries}}) {
    if (value && *value < 0)
      return fail(Code::kInvalidArgument, "--health-{} cannot be negative", flag);
    put(health, member, value);
  }
  config["Healthcheck"] = health;
  return {};
}

Status add_life(const ContainerOptions& options, json::Object& host) {
  ASSIGN_OR_RETURN(auto policy, parse_restart_policy(options.restart));
  if (options.remove && json::string_or(policy, "Name") != "no")
    return fail(Code::kInvalidArgument,
                "conflicting options: cannot specify both --restart and --rm");
  host["RestartPolicy"] = policy;
  put(host, "AutoRemove", options.remove);
  if (options.init) host["Init"] = *options.init;
  if (options.log_driver == "none" && !options.log_options.empty())
    return fail(Code::kInvalidArgument, "invalid logging opts for driver none");
  host["LogConfig"] =
      json::Object{{"Type", options.log_driver}, {"Config", pairs_to_object(options.log_options)}};
  put(host, "ContainerIDFile", options.cidfile);
  return {};
}

}  // namespace

Result<json::Object> make_container_config(const ContainerOptions& options,
                                           const std::string& image,
                                           const std::vector<std::string>& command) {
  json::Object config{{"Image", image}};
  json::Object host;
  RETURN_IF_ERROR(add_process(options, command, config));
  RETURN_IF_ERROR(add_health(options, config));
  RETURN_IF_ERROR(add_storage(options, config, host));
  RETURN_IF_ERROR(add_networks(options, config, host));
  RETURN_IF_ERROR(add_isolation(options, host));
  RETURN_IF_ERROR(add_limits(options, host));
  RETURN_IF_ERROR(add_life(options, host));
  config["HostConfig"] = std::move(host);
  return config;
}

}  // namespace holdfast::client
