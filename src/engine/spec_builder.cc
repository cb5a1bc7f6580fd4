#include "engine/spec_builder.h"

#include <unistd.h>

#include <thread>

namespace holdfast {
namespace {

std::optional<std::int64_t> set_number(const json::Object& object, std::string_view key) {
  const auto* value = json::find(object, key);
  std::int64_t number = json::int_or(object, key);
  return value && number != 0 ? std::optional(number) : std::nullopt;
}

std::vector<BlockDeviceLimit> block_limits(const json::Object& host_config, std::string_view key) {
  std::vector<BlockDeviceLimit> limits;
  for (const auto& entry : json::array_or_empty(host_config, key)) {
    if (!entry.is_object()) continue;
    limits.push_back({json::string_or(entry.get_object(), "Path"),
                      static_cast<std::uint64_t>(json::int_or(entry.get_object(), "Rate"))});
  }
  return limits;
}

// --cpus as a quota of a period of 100 ms; more than the machine has is refused as Docker does.
Status set_cpus(const json::Object& host_config, ContainerResources& resources) {
  std::int64_t nano_cpus = json::int_or(host_config, "NanoCpus");
  if (nano_cpus == 0) return {};
  auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  if (nano_cpus > cores * 1'000'000'000) {
    return fail(Code::kInvalidArgument,
                "range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available", cores,
                cores);
  }
  resources.cpu_period = 100'000;
  resources.cpu_quota = nano_cpus / 10'000;
  return {};
}

Result<ContainerNamespaces::Choice> choose(const std::string& mode, const std::string& kind,
                                           const SpecInputs& inputs) {
  using Kind = ContainerNamespaces::Kind;
  ContainerNamespaces::Choice choice;
  if (mode == "host") {
    choice.kind = Kind::kHost;
  } else if (mode.starts_with("container:")) {
    choice.kind = Kind::kPath;
    ASSIGN_OR_RETURN(choice.path, inputs.namespace_of(mode.substr(10), kind));
  }
  return choice;
}

Result<ContainerNamespaces> choose_namespaces(const json::Object& host_config,
                                              const SpecInputs& inputs) {
  using Kind = ContainerNamespaces::Kind;
  ContainerNamespaces namespaces;
  namespaces.network = inputs.netns.empty()
                           ? ContainerNamespaces::Choice{Kind::kHost, {}}
                           : ContainerNamespaces::Choice{Kind::kPath, inputs.netns};
  ASSIGN_OR_RETURN(namespaces.pid, choose(json::string_or(host_config, "PidMode"), "pid", inputs));
  ASSIGN_OR_RETURN(namespaces.ipc, choose(json::string_or(host_config, "IpcMode"), "ipc", inputs));
  ASSIGN_OR_RETURN(namespaces.uts, choose(json::string_or(host_config, "UTSMode"), "uts", inputs));
  if (json::string_or(host_config, "CgroupnsMode") == "host") namespaces.cgroup.kind = Kind::kHost;
  return namespaces;
}

Status apply_security_options(const json::Object& host_config, ContainerSpec& spec) {
  for (const auto& option : json::strings_or_empty(host_config, "SecurityOpt")) {
    auto separator = option.find_first_of("=:");
    std::string key = option.substr(0, separator);
    std::string value = separator == std::string::npos ? "" : option.substr(separator + 1);
    if (key == "no-new-privileges") {
      if (value != "" && value != "true" && value != "false") {
        return fail(Code::kInvalidArgument, "invalid --security-opt 2: \"{}\"", option);
      }
      spec.no_new_privileges = value != "false";
    } else if (key == "seccomp") {
      using Kind = SeccompChoice::Kind;
      spec.seccomp.kind = value == "unconfined" ? Kind::kUnconfined
                          : value == "builtin"  ? Kind::kDefault
                                                : Kind::kProfile;
      if (spec.seccomp.kind == Kind::kProfile) spec.seccomp.profile = value;
    } else if (key == "apparmor") {
      spec.apparmor_profile = value == "unconfined" ? "" : value;
    } else if (key == "systempaths" && value == "unconfined") {
      spec.masked_paths.emplace();
      spec.read_only_paths.emplace();
    } else if (key != "label") {
      return fail(Code::kInvalidArgument, "invalid --security-opt 2: \"{}\"", option);
    }
  }
  return {};
}

void set_paths(const json::Object& host_config, ContainerSpec& spec) {
  if (json::find(host_config, "MaskedPaths"))
    spec.masked_paths = json::strings_or_empty(host_config, "MaskedPaths");
  if (json::find(host_config, "ReadonlyPaths")) {
    spec.read_only_paths = json::strings_or_empty(host_config, "ReadonlyPaths");
  }
}

void set_devices(const json::Object& host_config, ContainerSpec& spec) {
  for (const auto& entry : json::array_or_empty(host_config, "Devices")) {
    if (!entry.is_object()) continue;
    const auto& device = entry.get_object();
    spec.devices.push_back({json::string_or(device, "PathOnHost"),
                            json::string_or(device, "PathInContainer"),
                            json::string_or(device, "CgroupPermissions", "rwm")});
  }
  spec.device_cgroup_rules = json::strings_or_empty(host_config, "DeviceCgroupRules");
}

void set_ulimits(const json::Object& host_config, ContainerSpec& spec) {
  for (const auto& entry : json::array_or_empty(host_config, "Ulimits")) {
    if (!entry.is_object()) continue;
    const auto& limit = entry.get_object();
    spec.ulimits.push_back(
        {json::string_or(limit, "Name"), json::int_or(limit, "Soft"), json::int_or(limit, "Hard")});
  }
}

void set_process(const ContainerId& id, const ContainerData& data, ContainerSpec& spec) {
  spec.args = json::strings_or_empty(data.config, "Entrypoint");
  auto command = json::strings_or_empty(data.config, "Cmd");
  spec.args.insert(spec.args.end(), command.begin(), command.end());
  spec.env = json::strings_or_empty(data.config, "Env");
  spec.cwd = json::string_or(data.config, "WorkingDir");
  if (spec.cwd.empty()) spec.cwd = "/";
  spec.terminal = json::bool_or(data.config, "Tty");
  spec.hostname = json::string_or(data.config, "Hostname", id.str().substr(0, 12));
  spec.domainname = json::string_or(data.config, "Domainname");
  const auto& size = json::array_or_empty(data.host_config, "ConsoleSize");
  if (size.size() == 2 && size[0].is_number() && size[1].is_number()) {
    boost::system::error_code ignored;
    spec.console_size = {size[0].to_number<unsigned>(ignored),
                         size[1].to_number<unsigned>(ignored)};
  }
}

}  // namespace

Result<ContainerResources> resources_of(const json::Object& host_config) {
  ContainerResources resources;
  resources.memory = set_number(host_config, "Memory");
  resources.memory_swap = set_number(host_config, "MemorySwap");
  resources.memory_reservation = set_number(host_config, "MemoryReservation");
  if (auto value = set_number(host_config, "MemorySwappiness"); value && *value >= 0) {
    resources.memory_swappiness = static_cast<std::uint64_t>(*value);
  }
  if (json::bool_or(host_config, "OomKillDisable")) resources.oom_kill_disable = true;
  if (auto value = set_number(host_config, "CpuShares"))
    resources.cpu_shares = static_cast<std::uint64_t>(*value);
  resources.cpu_quota = set_number(host_config, "CpuQuota");
  if (auto value = set_number(host_config, "CpuPeriod"))
    resources.cpu_period = static_cast<std::uint64_t>(*value);
  resources.cpuset_cpus = json::string_or(host_config, "CpusetCpus");
  resources.cpuset_mems = json::string_or(host_config, "CpusetMems");
  resources.pids = set_number(host_config, "PidsLimit");
  if (auto value = set_number(host_config, "BlkioWeight"))
    resources.blkio_weight = static_cast<std::uint16_t>(*value);
  resources.read_bps = block_limits(host_config, "BlkioDeviceReadBps");
  resources.write_bps = block_limits(host_config, "BlkioDeviceWriteBps");
  resources.read_iops = block_limits(host_config, "BlkioDeviceReadIOps");
  resources.write_iops = block_limits(host_config, "BlkioDeviceWriteIOps");
  RETURN_IF_ERROR(set_cpus(host_config, resources));
  return resources;
}

Result<ContainerSpec> build_spec(const ContainerId& id, const ContainerData& data,
                                 const SpecInputs& inputs) {
  const auto& host_config = data.host_config;
  ContainerSpec spec;
  set_process(id, data, spec);
  ASSIGN_OR_RETURN(
      spec.user, resolve_user(json::string_or(data.config, "User"),
                              json::strings_or_empty(host_config, "GroupAdd"), inputs.image_root));
  spec.read_only_root = json::bool_or(host_config, "ReadonlyRootfs");
  spec.shm_size = json::int_or(host_config, "ShmSize", 64 << 20);
  spec.init = json::bool_or(host_config, "Init");
  spec.privileged = json::bool_or(host_config, "Privileged");
  spec.cap_add = json::strings_or_empty(host_config, "CapAdd");
  spec.cap_drop = json::strings_or_empty(host_config, "CapDrop");
  set_paths(host_config, spec);
  RETURN_IF_ERROR(apply_security_options(host_config, spec));
  if (spec.privileged) spec.seccomp.kind = SeccompChoice::Kind::kUnconfined;
  set_devices(host_config, spec);
  set_ulimits(host_config, spec);
  ASSIGN_OR_RETURN(spec.resources, resources_of(host_config));
  spec.sysctls = json::string_map_or_empty(host_config, "Sysctls");
  ASSIGN_OR_RETURN(spec.namespaces, choose_namespaces(host_config, inputs));
  if (auto score = set_number(host_config, "OomScoreAdj"))
    spec.oom_score_adj = static_cast<int>(*score);
  if (std::string parent = json::string_or(host_config, "CgroupParent"); !parent.empty()) {
    spec.cgroup_path = (parent.starts_with('/') ? parent : "/" + parent) + "/" + id.str();
  }
  spec.annotations = json::string_map_or_empty(host_config, "Annotations");
  // A bind that propagates needs a root that doesn't cut it off.
  for (const auto& mount : data.mounts) {
    if (mount.propagation.ends_with("unbindable") && spec.root_propagation.empty())
      spec.root_propagation = "private";
    if (mount.propagation.ends_with("shared")) spec.root_propagation = "rshared";
    if (mount.propagation.ends_with("slave") && spec.root_propagation.empty())
      spec.root_propagation = "rslave";
  }
  return spec;
}

}  // namespace holdfast
