#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/flags.h"

namespace holdfast::client {

// The options that run and create share, as they were given; container_config.h makes the request
// of them. add_to() registers the flags, whose targets are these members: the object must outlive
// the FlagSet's parse().
struct ContainerOptions {
  using Strings = std::vector<std::string>;
  using MaybeInt = std::optional<std::int64_t>;

  // the process
  Strings attach, environment, environment_files, group_add;
  std::optional<std::string> entrypoint;
  bool interactive = false, tty = false;
  std::optional<bool> init;
  std::string user, workdir, stop_signal, hostname, domainname;
  MaybeInt stop_timeout;
  Strings labels, label_files, annotations;

  // storage
  Strings volumes, mounts, tmpfs, volumes_from, secrets, storage_options;
  std::string volume_driver;
  bool read_only = false;
  MaybeInt shm_size;

  // network
  Strings publish, expose, networks, network_aliases, links, link_local_ips;
  Strings dns, dns_options, dns_search, extra_hosts;
  bool publish_all = false;
  std::string ip, ip6, mac_address;

  // isolation
  bool privileged = false;
  Strings cap_add, cap_drop, security_options, sysctls, devices, device_cgroup_rules;
  std::string ipc, pid, uts, userns, cgroupns, runtime, cgroup_parent, isolation, gpus;

  // limits
  MaybeInt memory, memory_reservation, memory_swap, memory_swappiness, kernel_memory, nano_cpus;
  MaybeInt cpu_shares, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime;
  MaybeInt pids_limit, oom_score_adj, blkio_weight;
  bool oom_kill_disable = false;
  std::string cpuset_cpus, cpuset_mems;
  Strings ulimits, blkio_weight_devices;
  Strings read_bps, write_bps, read_iops, write_iops;

  // health and life
  std::optional<std::string> health_cmd;
  MaybeInt health_interval, health_timeout, health_start_period, health_start_interval;
  MaybeInt health_retries;
  bool no_healthcheck = false;
  std::string restart;
  bool remove = false;
  std::string log_driver;
  Strings log_options;

  // the command itself
  std::string name, cidfile, platform, pull = "missing";
  bool quiet = false;

  void add_to(FlagSet& flags);

 private:
  void add_process_flags(FlagSet& flags);
  void add_storage_flags(FlagSet& flags);
  void add_network_flags(FlagSet& flags);
  void add_isolation_flags(FlagSet& flags);
  void add_limit_flags(FlagSet& flags);
  void add_life_flags(FlagSet& flags);
};

}  // namespace holdfast::client
