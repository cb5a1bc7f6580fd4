#include "runtime/oci_resources.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <charconv>
#include <optional>

#include "runtime/host_devices.h"

namespace holdfast {
namespace {

using json::Array;
using json::Object;

struct DeviceRule {
  bool allow = true;
  char type = 0;  // 0: all
  std::optional<std::int64_t> major;
  std::optional<std::int64_t> minor;
  std::string access = "rwm";
};

Object rule_object(const DeviceRule& rule) {
  Object result;
  result["allow"] = rule.allow;
  if (rule.type) result["type"] = std::string(1, rule.type);
  if (rule.major) result["major"] = *rule.major;
  if (rule.minor) result["minor"] = *rule.minor;
  result["access"] = rule.access;
  return result;
}

// Docker's: any node may be made, few may be used (null, random, full, tty, zero, urandom, console,
// ptmx, pts).
std::vector<DeviceRule> default_rules() {
  std::vector<DeviceRule> rules = {
      {false, 0, {}, {}, "rwm"}, {true, 'c', {}, {}, "m"}, {true, 'b', {}, {}, "m"}};
  for (std::int64_t minor : {3, 8, 7, 5, 9}) rules.push_back({true, 'c', 1, minor});
  rules.push_back({true, 'c', 5, 0});
  rules.push_back({true, 'c', 5, 1});
  rules.push_back({true, 'c', 5, 2});
  rules.push_back({true, 'c', 136, {}});
  return rules;
}

Object node_object(const HostDevice& device, const std::string& path) {
  Object result;
  result["path"] = path;
  result["type"] = std::string(1, device.type);
  result["major"] = device.major;
  result["minor"] = device.minor;
  result["fileMode"] = device.mode;
  result["uid"] = device.uid;
  result["gid"] = device.gid;
  return result;
}

std::optional<std::optional<std::int64_t>> parse_device_number(std::string_view text) {
  if (text == "*") return std::optional<std::int64_t>();
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::optional<std::int64_t>(number);
}

// "c 1:3 rwm", "a *:* rwm" (devices.allow of cgroups v1).
Result<DeviceRule> parse_rule(const std::string& text) {
  DeviceRule rule;
  auto invalid = [&] {
    return fail(Code::kInvalidArgument, "invalid device cgroup rule format: '{}'", text);
  };
  if (text.size() < 7 || text[1] != ' ') return invalid();
  if (text[0] != 'a' && text[0] != 'b' && text[0] != 'c') return invalid();
  if (text[0] != 'a') rule.type = text[0];
  auto colon = text.find(':');
  auto blank = text.find(' ', 2);
  if (colon == std::string::npos || blank == std::string::npos || colon > blank) return invalid();
  auto major = parse_device_number(std::string_view(text).substr(2, colon - 2));
  auto minor = parse_device_number(std::string_view(text).substr(colon + 1, blank - colon - 1));
  rule.access = text.substr(blank + 1);
  if (!major || !minor || rule.access.empty() || rule.access.size() > 3 ||
      rule.access.find_first_not_of("rwm") != std::string::npos) {
    return invalid();
  }
  rule.major = *major;
  rule.minor = *minor;
  return rule;
}

Status add_device(const ContainerDevice& wanted, DeviceObjects& result) {
  ASSIGN_OR_RETURN(auto found, devices_at(wanted.host_path));
  std::string target = wanted.container_path.empty() ? wanted.host_path : wanted.container_path;
  for (const auto& device : found) {
    // Beneath a directory, devices keep their relative names.
    std::string rest = device.path.substr(std::min(device.path.size(), wanted.host_path.size()));
    result.nodes.push_back(node_object(device, target + rest));
    result.rules.push_back(rule_object({true, device.type, device.major, device.minor,
                                        wanted.permissions.empty() ? "rwm" : wanted.permissions}));
  }
  return {};
}

void add_all_devices(const SpecHost& host, DeviceObjects& result) {
  for (const auto& device : all_host_devices(host.device_directory)) {
    result.nodes.push_back(
        node_object(device, "/dev" + device.path.substr(host.device_directory.size())));
  }
}

// Drops earlier nodes of the same path: the last one asked for counts.
void keep_last_nodes(Array& nodes) {
  std::map<std::string, std::size_t> last;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    last[json::string_or(nodes[i].get_object(), "path")] = i;
  }
  Array kept;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (last[json::string_or(nodes[i].get_object(), "path")] == i) kept.push_back(nodes[i]);
  }
  nodes = std::move(kept);
}

Object memory_object(const ContainerResources& resources, const SpecHost& host) {
  Object memory;
  if (resources.memory) memory["limit"] = *resources.memory;
  if (resources.memory_swap && host.swap_limit) memory["swap"] = *resources.memory_swap;
  if (resources.memory_reservation) memory["reservation"] = *resources.memory_reservation;
  if (resources.memory_swappiness) memory["swappiness"] = *resources.memory_swappiness;
  if (resources.oom_kill_disable) memory["disableOOMKiller"] = *resources.oom_kill_disable;
  return memory;
}

Object cpu_object(const ContainerResources& resources) {
  Object cpu;
  if (resources.cpu_shares) cpu["shares"] = *resources.cpu_shares;
  if (resources.cpu_quota) cpu["quota"] = *resources.cpu_quota;
  if (resources.cpu_period) cpu["period"] = *resources.cpu_period;
  if (!resources.cpuset_cpus.empty()) cpu["cpus"] = resources.cpuset_cpus;
  if (!resources.cpuset_mems.empty()) cpu["mems"] = resources.cpuset_mems;
  return cpu;
}

void add_throttle(const char* key, const std::vector<BlockDeviceLimit>& limits, Object& io) {
  Array result;
  for (const auto& limit : limits) {
    struct stat status = {};
    if (::stat(limit.path.c_str(), &status) != 0 || !S_ISBLK(status.st_mode)) continue;
    Object entry;
    entry["major"] = major(status.st_rdev);
    entry["minor"] = minor(status.st_rdev);
    entry["rate"] = limit.rate;
    result.push_back(std::move(entry));
  }
  if (!result.empty()) io[key] = std::move(result);
}

Object block_io_object(const ContainerResources& resources) {
  Object io;
  if (resources.blkio_weight) io["weight"] = *resources.blkio_weight;
  add_throttle("throttleReadBpsDevice", resources.read_bps, io);
  add_throttle("throttleWriteBpsDevice", resources.write_bps, io);
  add_throttle("throttleReadIOPSDevice", resources.read_iops, io);
  add_throttle("throttleWriteIOPSDevice", resources.write_iops, io);
  return io;
}

}  // namespace

Object resources_object(const ContainerResources& resources, const SpecHost& host) {
  Object result;
  if (auto memory = memory_object(resources, host); !memory.empty()) {
    result["memory"] = std::move(memory);
  }
  if (auto cpu = cpu_object(resources); !cpu.empty()) result["cpu"] = std::move(cpu);
  if (auto io = block_io_object(resources); !io.empty()) result["blockIO"] = std::move(io);
  if (resources.pids) {
    Object pids;
    pids["limit"] = *resources.pids;
    result["pids"] = std::move(pids);
  }
  return result;
}

Result<DeviceObjects> build_devices(const ContainerSpec& spec, const SpecHost& host) {
  DeviceObjects result;
  if (spec.privileged) {
    result.rules.push_back(rule_object({}));
    add_all_devices(host, result);
  } else {
    for (const auto& rule : default_rules()) result.rules.push_back(rule_object(rule));
  }
  for (const auto& device : spec.devices) RETURN_IF_ERROR(add_device(device, result));
  for (const auto& text : spec.device_cgroup_rules) {
    ASSIGN_OR_RETURN(auto rule, parse_rule(text));
    result.rules.push_back(rule_object(rule));
  }
  keep_last_nodes(result.nodes);
  return result;
}

}  // namespace holdfast
