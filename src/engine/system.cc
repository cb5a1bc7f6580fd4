#include <fcntl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "engine/engine_impl.h"
#include "engine/volume_json.h"
#include "os/cgroup.h"
#include "storage/copy/tree_size.h"

namespace holdfast {
namespace {

// A value of /etc/os-release (os-release(5)).
std::string os_release(std::string_view key) {
  auto text = read_file("/etc/os-release");
  if (!text) return {};
  std::size_t begin = 0;
  while (begin < text->size()) {
    auto end = std::min(text->find('\n', begin), text->size());
    std::string_view line(text->data() + begin, end - begin);
    if (line.starts_with(key) && line.substr(key.size()).starts_with('=')) {
      line.remove_prefix(key.size() + 1);
      if (line.size() >= 2 && line.front() == '"') line = line.substr(1, line.size() - 2);
      return std::string(line);
    }
    begin = end + 1;
  }
  return {};
}

std::string daemon_id(const EngineOptions& options) {
  auto id = read_file(options.data_root + "/engine-id");
  return id ? *id : "";
}

json::Object plugins_json(const Volumes& volumes) {
  return json::Object{{"Volume", json::from_strings(volumes.drivers())},
                      {"Network", json::Array{"bridge", "host", "null"}},
                      {"Authorization", nullptr},
                      {"Log", json::Array{"json-file", "local", "none"}}};
}

struct StatusCounts {
  int running = 0;
  int paused = 0;
  int stopped = 0;
};

StatusCounts count_containers(const ContainerTable& table) {
  StatusCounts counts;
  for (const auto& container : table.all()) {
    auto status = container->state().status;
    if (status == ContainerStatus::kPaused) {
      ++counts.paused;
    } else if (status == ContainerStatus::kRunning || status == ContainerStatus::kRestarting) {
      ++counts.running;
    } else {
      ++counts.stopped;
    }
  }
  return counts;
}

json::Object runtimes_json(const Runtime& runtime) {
  return json::Object{{runtime.name(), json::Object{{"path", runtime.program()}}}};
}

json::Array block_io_json(const std::vector<ContainerStats::BlockIo>& entries) {
  json::Array array;
  for (const auto& entry : entries) {
    array.push_back(json::Object{{"major", entry.major},
                                 {"minor", entry.minor},
                                 {"op", entry.operation},
                                 {"value", entry.value}});
  }
  return array;
}

json::Object cpu_json(const ContainerStats& stats) {
  json::Object usage{{"total_usage", stats.cpu_total},
                     {"usage_in_kernelmode", stats.cpu_system},
                     {"usage_in_usermode", stats.cpu_user}};
  if (!stats.cpu_per_core.empty())
    usage["percpu_usage"] = json::Array(stats.cpu_per_core.begin(), stats.cpu_per_core.end());
  return json::Object{
      {"cpu_usage", std::move(usage)},
      {"system_cpu_usage", stats.system_cpu},
      {"online_cpus", stats.online_cpus},
      {"throttling_data", json::Object{{"periods", stats.throttle_periods},
                                       {"throttled_periods", stats.throttled_periods},
                                       {"throttled_time", stats.throttled_time}}}};
}

json::Object memory_json(const ContainerStats& stats) {
  json::Object details;
  for (const auto& [key, value] : stats.memory) details[key] = value;
  json::Object memory{
      {"usage", stats.memory_usage}, {"stats", std::move(details)}, {"limit", stats.memory_limit}};
  if (!stats.cgroup_v2) {
    memory["max_usage"] = stats.memory_max_usage;
    memory["failcnt"] = stats.memory_fail_count;
  }
  return memory;
}

// The interfaces of the network namespace that `pid` is in, but for lo (proc(5), /proc/PID/net/dev:
// two lines of titles, then "eth0: " and eight numbers received, eight sent).
json::Object networks_json(pid_t pid) {
  json::Object networks;
  auto text = read_file(fmt::format("/proc/{}/net/dev", pid));
  if (!text) return networks;
  std::istringstream lines(*text);
  std::string line;
  while (std::getline(lines, line)) {
    auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    auto begin = line.find_first_not_of(' ');
    std::string name = line.substr(begin, colon - begin);
    std::istringstream numbers(line.substr(colon + 1));
    std::array<std::uint64_t, 16> values = {};
    for (auto& value : values) numbers >> value;
    if (name == "lo" || !numbers) continue;
    networks[name] = json::Object{{"rx_bytes", values[0]},   {"rx_packets", values[1]},
                                  {"rx_errors", values[2]},  {"rx_dropped", values[3]},
                                  {"tx_bytes", values[8]},   {"tx_packets", values[9]},
                                  {"tx_errors", values[10]}, {"tx_dropped", values[11]}};
  }
  return networks;
}

bool wants(const std::vector<std::string>& types, std::string_view type) {
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

json::Object Engine::info() const {
  auto& impl = *impl_;
  struct utsname system = {};
  ::uname(&system);
  struct sysinfo memory = {};
  ::sysinfo(&memory);
  auto counts = count_containers(impl.table);
  auto cgroups = CgroupLayout::detect();
  bool v2 = cgroups && cgroups->mode == CgroupLayout::Mode::kV2;
  return json::Object{
      {"ID", daemon_id(impl.options)},
      {"Containers", counts.running + counts.paused + counts.stopped},
      {"ContainersRunning", counts.running},
      {"ContainersPaused", counts.paused},
      {"ContainersStopped", counts.stopped},
      {"Images", impl.parts.images.count()},
      {"Driver", "overlay2"},
      {"DriverStatus", json::Array{json::Array{"Supports d_type", "true"},
                                   json::Array{"Native Overlay Diff", "true"}}},
      {"Plugins", plugins_json(impl.parts.volumes)},
      {"MemoryLimit", true},
      {"SwapLimit", true},
      {"CpuCfsPeriod", true},
      {"CpuCfsQuota", true},
      {"CPUShares", true},
      {"CPUSet", true},
      {"PidsLimit", true},
      {"IPv4Forwarding", true},
      {"Debug", false},
      {"OomKillDisable", !v2},
      {"NGoroutines", 0},
      {"NFd", 0},
      {"NEventsListener", 0},
      {"SystemTime", to_rfc3339(now())},
      {"LoggingDriver", "json-file"},
      {"CgroupDriver", "cgroupfs"},
      {"CgroupVersion", v2 ? "2" : "1"},
      {"KernelVersion", system.release},
      {"OperatingSystem", os_release("PRETTY_NAME")},
      {"OSVersion", os_release("VERSION_ID")},
      {"OSType", "linux"},
      {"Architecture", system.machine},
      {"IndexServerAddress", "https://index.docker.io/v1/"},
      {"RegistryConfig",
       json::Object{
           {"InsecureRegistryCIDRs", json::Array{"::1/128", "127.0.0.0/8"}},
           {"IndexConfigs", json::Object{{"docker.io", json::Object{{"Mirrors", json::Array{}},
                                                                    {"Name", "docker.io"},
                                                                    {"Official", true},
                                                                    {"Secure", true}}}}},
           {"Mirrors", nullptr}}},
      {"NCPU", std::thread::hardware_concurrency()},
      {"MemTotal", static_cast<std::uint64_t>(memory.totalram) * memory.mem_unit},
      {"GenericResources", nullptr},
      {"DockerRootDir", impl.options.data_root},
      {"HttpProxy", ""},
      {"HttpsProxy", ""},
      {"NoProxy", ""},
      {"Name", system.nodename},
      {"Labels", json::from_strings(impl.options.labels)},
      {"ExperimentalBuild", false},
      {"ServerVersion", impl.options.version},
      {"Runtimes", runtimes_json(impl.parts.runtime)},
      {"DefaultRuntime", impl.parts.runtime.name()},
      {"Swarm", json::Object{{"NodeID", ""},
                             {"NodeAddr", ""},
                             {"LocalNodeState", "inactive"},
                             {"ControlAvailable", false},
                             {"Error", ""},
                             {"RemoteManagers", nullptr}}},
      {"LiveRestoreEnabled", impl.options.live_restore},
      {"Isolation", ""},
      {"InitBinary", "docker-init"},
      {"ContainerdCommit", json::Object{{"ID", ""}}},
      {"RuncCommit", json::Object{{"ID", impl.parts.runtime.version()}}},
      {"InitCommit", json::Object{{"ID", ""}}},
      {"SecurityOptions", json::Array{"name=seccomp,profile=builtin"}},
      {"CDISpecDirs", json::Array{}},
      {"Warnings", nullptr}};
}

json::Object Engine::version() const {
  struct utsname system = {};
  ::uname(&system);
  const auto& options = impl_->options;
  json::Object engine{{"Name", "Engine"},
                      {"Version", options.version},
                      {"Details", json::Object{{"ApiVersion", "1.50"},
                                               {"Arch", "amd64"},
                                               {"BuildTime", ""},
                                               {"Experimental", "false"},
                                               {"GitCommit", ""},
                                               {"GoVersion", ""},
                                               {"KernelVersion", system.release},
                                               {"MinAPIVersion", "1.24"},
                                               {"Os", "linux"}}}};
  json::Object runtime{{"Name", impl_->parts.runtime.name()},
                       {"Version", impl_->parts.runtime.version()},
                       {"Details", json::Object{{"Path", impl_->parts.runtime.program()}}}};
  return json::Object{{"Platform", json::Object{{"Name", "Holdfast"}}},
                      {"Components", json::Array{std::move(engine), std::move(runtime)}},
                      {"Version", options.version},
                      {"ApiVersion", "1.50"},
                      {"MinAPIVersion", "1.24"},
                      {"GitCommit", ""},
                      {"GoVersion", ""},
                      {"Os", "linux"},
                      {"Arch", "amd64"},
                      {"KernelVersion", system.release},
                      {"BuildTime", ""}};
}

Result<json::Object> Engine::disk_usage(const std::vector<std::string>& types) const {
  auto& impl = *impl_;
  json::Object out;
  if (wants(types, "image")) {
    auto usage = impl.parts.images.disk_usage();
    ASSIGN_OR_RETURN(auto images, list_images({}, false));
    for (auto& image : images) {
      auto& object = image.get_object();
      auto shared = usage.shared_size.find(ImageId(json::string_or(object, "Id")));
      object["SharedSize"] = shared == usage.shared_size.end() ? 0 : shared->second;
    }
    out["LayersSize"] = usage.layers_size;
    out["Images"] = std::move(images);
  }
  if (wants(types, "container")) {
    ListOptions options;
    options.all = true;
    options.size = true;
    ASSIGN_OR_RETURN(out["Containers"], list(options));
  }
  if (wants(types, "volume")) {
    auto all = impl.parts.volumes.list_all();
    std::vector<VolumeName> names;
    for (const auto& one : all.volumes) names.push_back(one.volume->name);
    // One budget for all of them: what isn't known by then is -1, and known the next time.
    auto sizes = impl.parts.volumes.sizes(names, std::chrono::seconds(10));
    json::Array list;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto& one = all.volumes[i];
      json::Object entry = volume_json(*one.volume, all.scope_of(*one.volume));
      entry["UsageData"] =
          json::Object{{"Size", sizes[i] ? static_cast<std::int64_t>(*sizes[i]) : -1},
                       {"RefCount", one.holders}};
      list.push_back(std::move(entry));
    }
    out["Volumes"] = std::move(list);
  }
  if (wants(types, "build-cache")) out["BuildCache"] = json::Array{};
  out["BuilderSize"] = 0;
  return out;
}

Result<json::Object> Engine::stats(const std::string& name) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  json::Object out{{"id", container->id.str()},
                   {"name", "/" + container->name()},
                   {"read", to_rfc3339(now())},
                   {"preread", "0001-01-01T00:00:00Z"},
                   {"num_procs", 0}};
  ContainerStats stats;
  if (container->state().running()) {
    ASSIGN_OR_RETURN(stats, impl.parts.runtime.stats(container->id));
  }
  out["pids_stats"] = json::Object{{"current", stats.pids}};
  if (stats.pids_limit != 0) out["pids_stats"].get_object()["limit"] = stats.pids_limit;
  out["blkio_stats"] = json::Object{{"io_service_bytes_recursive", block_io_json(stats.io_bytes)},
                                    {"io_serviced_recursive", block_io_json(stats.io_operations)}};
  out["cpu_stats"] = cpu_json(stats);
  out["precpu_stats"] = cpu_json(ContainerStats{});
  out["memory_stats"] = memory_json(stats);
  out["storage_stats"] = json::Object{};
  ContainerData data = container->view();
  bool own_network = json::string_or(data.host_config, "NetworkMode") != "host";
  out["networks"] = data.state.running() && own_network ? networks_json(data.pid) : json::Object{};
  return out;
}

EventBus& Engine::events() { return impl_->events; }

}  // namespace holdfast
