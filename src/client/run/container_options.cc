#include "client/run/container_options.h"

#include <algorithm>

#include "base/size_text.h"
#include "client/run/mount_spec.h"
#include "client/run/network_spec.h"
#include "client/run/secret_spec.h"
#include "client/run/value_specs.h"

namespace holdfast::client {
namespace {

// A repeatable option whose values are checked when they are parsed, so that the error names the
// flag, and kept as written.
template <typename Check>
void checked(FlagSet& flags, std::string_view name, char shorthand,
             std::vector<std::string>& target, std::string_view help, Check check,
             std::string_view type_name = "list") {
  flags.add({std::string(name), shorthand, std::string(type_name), std::string(help),
             [&target, check](std::string_view value) -> Status {
               auto result = check(value);
               if (!result) return tl::unexpected(std::move(result).error());
               target.emplace_back(value);
               return {};
             }});
}

Status check_stream(std::string_view text) {
  for (std::string_view name : {"stdin", "stdout", "stderr", "STDIN", "STDOUT", "STDERR"})
    if (text == name) return {};
  return fail(Code::kInvalidArgument, "valid streams are STDIN, STDOUT and STDERR");
}

Status check_sysctl(std::string_view text) {
  if (text.find('=') == std::string_view::npos)
    return fail(Code::kInvalidArgument, "sysctl '{}' is not allowed", text);
  for (std::string_view prefix : {"net.", "fs.mqueue.", "kernel.msg", "kernel.sem", "kernel.shm"})
    if (text.starts_with(prefix)) return {};
  return fail(Code::kInvalidArgument, "sysctl '{}' is not allowed", text);
}

Status check_device_rule(std::string_view text) {
  // <type> <major>:<minor> <access>
  bool valid = text.size() >= 7 &&
               std::string_view("abc").find(text[0]) != std::string_view::npos && text[1] == ' ' &&
               text.find(':') != std::string_view::npos &&
               std::count(text.begin(), text.end(), ' ') == 2;
  if (!valid) return fail(Code::kInvalidArgument, "invalid device cgroup format '{}'", text);
  return {};
}

Status check_link(std::string_view text) {
  if (text.empty()) return fail(Code::kInvalidArgument, "empty string specified for links");
  if (std::count(text.begin(), text.end(), ':') > 1)
    return fail(Code::kInvalidArgument, "bad format for links: {}", text);
  return {};
}

Status check_search(std::string_view text) {
  if (text.find_first_of(" \t/:") != std::string_view::npos || text.empty())
    return fail(Code::kInvalidArgument, "{} is not a valid domain", text);
  return {};
}

}  // namespace

void ContainerOptions::add_to(FlagSet& flags) {
  add_process_flags(flags);
  add_storage_flags(flags);
  add_network_flags(flags);
  add_isolation_flags(flags);
  add_limit_flags(flags);
  add_life_flags(flags);
  flags.flag("name", 0, name, "Assign a name to the container");
  flags.flag("cidfile", 0, cidfile, "Write the container ID to the file");
  flags.flag("platform", 0, platform, "Set platform if server is multi-platform capable");
  flags.flag(
      "pull", 0, pull,
      "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")");
  flags.flag("quiet", 'q', quiet, "Suppress the pull output");
}

void ContainerOptions::add_process_flags(FlagSet& flags) {
  checked(flags, "attach", 'a', attach, "Attach to STDIN, STDOUT or STDERR", check_stream);
  checked(flags, "env", 'e', environment, "Set environment variables", check_environment);
  flags.flag("env-file", 0, environment_files, "Read in a file of environment variables");
  flags.flag("entrypoint", 0, entrypoint, "Overwrite the default ENTRYPOINT of the image");
  flags.flag("interactive", 'i', interactive, "Keep STDIN open even if not attached");
  flags.flag("tty", 't', tty, "Allocate a pseudo-TTY");
  flags.flag("init", 0, init,
             "Run an init inside the container that forwards signals and reaps processes");
  flags.flag("user", 'u', user, "Username or UID (format: <name|uid>[:<group|gid>])");
  flags.flag("group-add", 0, group_add, "Add additional groups to join");
  flags.flag("workdir", 'w', workdir, "Working directory inside the container");
  flags.flag("stop-signal", 0, stop_signal, "Signal to stop the container");
  flags.flag("stop-timeout", 0, stop_timeout, "Timeout (in seconds) to stop a container");
  flags.flag("hostname", 'h', hostname, "Container host name");
  flags.flag("domainname", 0, domainname, "Container NIS domain name");
  checked(flags, "label", 'l', labels, "Set meta data on a container", check_label);
  flags.flag("label-file", 0, label_files, "Read in a line delimited file of labels");
  flags.flag("annotation", 0, annotations,
             "Add an annotation to the container (passed through to the OCI runtime)", "map");
}

void ContainerOptions::add_storage_flags(FlagSet& flags) {
  flags.flag("volume", 'v', volumes, "Mount a volume or a host path: [SOURCE:]TARGET[:OPTIONS]");
  checked(flags, "mount", 0, mounts, "Attach a filesystem mount to the container", parse_mount_spec,
          "mount");
  flags.flag("tmpfs", 0, tmpfs, "Mount a tmpfs directory");
  checked(flags, "secret", 0, secrets,
          "Give the container a secret as a file in memory: SECRET[,target=,uid=,gid=,mode=]",
          parse_secret_spec, "secret");
  flags.flag("volumes-from", 0, volumes_from, "Mount volumes from the specified container(s)");
  flags.flag("volume-driver", 0, volume_driver, "Optional volume driver for the container");
  flags.flag("storage-opt", 0, storage_options, "Storage driver options for the container");
  flags.flag("read-only", 0, read_only, "Mount the container's root filesystem as read only");
  flags.bytes("shm-size", 0, shm_size, "Size of /dev/shm");
}

void ContainerOptions::add_network_flags(FlagSet& flags) {
  flags.flag("publish", 'p', publish, "Publish a container's port(s) to the host");
  flags.flag("publish-all", 'P', publish_all, "Publish all exposed ports to random ports");
  flags.flag("expose", 0, expose, "Expose a port or a range of ports");
  checked(flags, "network", 0, networks, "Connect a container to a network", parse_network_spec,
          "network");
  checked(flags, "net", 0, networks, "", parse_network_spec, "network");
  flags.flag("network-alias", 0, network_aliases, "Add network-scoped alias for the container");
  flags.flag("net-alias", 0, network_aliases, "");
  flags.hide("net");
  flags.hide("net-alias");
  flags.flag("ip", 0, ip, "IPv4 address (e.g., 172.30.100.104)");
  flags.flag("ip6", 0, ip6, "IPv6 address (e.g., 2001:db8::33)");
  flags.flag("link-local-ip", 0, link_local_ips, "Container IPv4/IPv6 link-local addresses");
  flags.flag("mac-address", 0, mac_address, "Container MAC address (e.g., 92:d0:c6:0a:29:33)");
  checked(flags, "link", 0, links, "Add link to another container", check_link);
  checked(flags, "dns", 0, dns, "Set custom DNS servers", check_ip_address);
  flags.flag("dns-option", 0, dns_options, "Set DNS options");
  flags.flag("dns-opt", 0, dns_options, "");
  flags.hide("dns-opt");
  checked(flags, "dns-search", 0, dns_search, "Set custom DNS search domains", check_search);
  checked(flags, "add-host", 0, extra_hosts, "Add a custom host-to-IP mapping (host:ip)",
          parse_extra_host);
}

void ContainerOptions::add_isolation_flags(FlagSet& flags) {
  flags.flag("privileged", 0, privileged, "Give extended privileges to this container");
  flags.flag("cap-add", 0, cap_add, "Add Linux capabilities");
  flags.flag("cap-drop", 0, cap_drop, "Drop Linux capabilities");
  flags.flag("security-opt", 0, security_options, "Security Options");
  checked(flags, "sysctl", 0, sysctls, "Sysctl options", check_sysctl, "map");
  flags.flag("device", 0, devices, "Add a host device to the container");
  checked(flags, "device-cgroup-rule", 0, device_cgroup_rules,
          "Add a rule to the cgroup allowed devices list", check_device_rule);
  flags.flag("ipc", 0, ipc, "IPC mode to use");
  flags.flag("pid", 0, pid, "PID namespace to use");
  flags.flag("uts", 0, uts, "UTS namespace to use");
  flags.flag("userns", 0, userns, "User namespace to use");
  flags.flag("cgroupns", 0, cgroupns, "Cgroup namespace to use (host|private)");
  flags.flag("runtime", 0, runtime, "Runtime to use for this container");
  flags.flag("cgroup-parent", 0, cgroup_parent, "Optional parent cgroup for the container");
  flags.flag("isolation", 0, isolation, "Container isolation technology");
  flags.flag("gpus", 0, gpus, "GPU devices to add to the container ('all' to pass all GPUs)",
             "gpu-request");
}

void ContainerOptions::add_limit_flags(FlagSet& flags) {
  flags.bytes("memory", 'm', memory, "Memory limit");
  flags.bytes("memory-reservation", 0, memory_reservation, "Memory soft limit");
  flags.add({"memory-swap", 0, "bytes",
             "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
             [this](std::string_view value) -> Status {
               if (value == "-1") {
                 memory_swap = -1;
                 return {};
               }
               ASSIGN_OR_RETURN(memory_swap, parse_ram_size(value));
               return {};
             }});
  flags.flag("memory-swappiness", 0, memory_swappiness,
             "Tune container memory swappiness (0 to 100) (default -1)");
  flags.bytes("kernel-memory", 0, kernel_memory, "Kernel memory limit");
  flags.hide("kernel-memory");
  flags.add({"cpus", 0, "decimal", "Number of CPUs", [this](std::string_view value) -> Status {
               ASSIGN_OR_RETURN(nano_cpus, parse_cpus(value));
               return {};
             }});
  flags.flag("cpu-shares", 'c', cpu_shares, "CPU shares (relative weight)");
  flags.flag("cpu-period", 0, cpu_period, "Limit CPU CFS (Completely Fair Scheduler) period");
  flags.flag("cpu-quota", 0, cpu_quota, "Limit CPU CFS (Completely Fair Scheduler) quota");
  flags.flag("cpu-rt-period", 0, cpu_rt_period, "Limit CPU real-time period in microseconds");
  flags.flag("cpu-rt-runtime", 0, cpu_rt_runtime, "Limit CPU real-time runtime in microseconds");
  flags.flag("cpuset-cpus", 0, cpuset_cpus, "CPUs in which to allow execution (0-3, 0,1)");
  flags.flag("cpuset-mems", 0, cpuset_mems, "MEMs in which to allow execution (0-3, 0,1)");
  flags.flag("pids-limit", 0, pids_limit, "Tune container pids limit (set -1 for unlimited)");
  flags.flag("oom-kill-disable", 0, oom_kill_disable, "Disable OOM Killer");
  flags.flag("oom-score-adj", 0, oom_score_adj, "Tune host's OOM preferences (-1000 to 1000)");
  checked(flags, "ulimit", 0, ulimits, "Ulimit options", parse_ulimit, "ulimit");
  flags.flag("blkio-weight", 0, blkio_weight,
             "Block IO (relative weight), between 10 and 1000, or 0 to disable");
  auto rate = [](bool size) {
    return [size](std::string_view text) { return parse_device_rate(text, size); };
  };
  checked(flags, "blkio-weight-device", 0, blkio_weight_devices,
          "Block IO weight (relative device weight)", rate(false));
  checked(flags, "device-read-bps", 0, read_bps, "Limit read rate (bytes per second) from a device",
          rate(true));
  checked(flags, "device-write-bps", 0, write_bps,
          "Limit write rate (bytes per second) to a device", rate(true));
  checked(flags, "device-read-iops", 0, read_iops, "Limit read rate (IO per second) from a device",
          rate(false));
  checked(flags, "device-write-iops", 0, write_iops, "Limit write rate (IO per second) to a device",
          rate(false));
}

void ContainerOptions::add_life_flags(FlagSet& flags) {
  flags.flag("health-cmd", 0, health_cmd, "Command to run to check health");
  flags.duration("health-interval", 0, health_interval,
                 "Time between running the check (ms|s|m|h)");
  flags.duration("health-timeout", 0, health_timeout,
                 "Maximum time to allow one check to run (ms|s|m|h)");
  flags.duration("health-start-period", 0, health_start_period,
                 "Start period for the container to initialize before failures count (ms|s|m|h)");
  flags.duration("health-start-interval", 0, health_start_interval,
                 "Time between running the check during the start period (ms|s|m|h)");
  flags.flag("health-retries", 0, health_retries,
             "Consecutive failures needed to report unhealthy");
  flags.flag("no-healthcheck", 0, no_healthcheck, "Disable any container-specified HEALTHCHECK");
  flags.flag("restart", 0, restart,
             "Restart policy to apply when a container exits (default \"no\")");
  flags.flag("rm", 0, remove,
             "Automatically remove the container and its associated anonymous volumes when it "
             "exits");
  flags.flag("log-driver", 0, log_driver, "Logging driver for the container");
  flags.flag("log-opt", 0, log_options, "Log driver options");
}

}  // namespace holdfast::client
