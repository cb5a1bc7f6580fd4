#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "os/cgroup.h"
#include "runtime/monitor_process.h"
#include "runtime/runtime.h"
#include "runtime/runtime_choice.h"
#include "runtime/runtime_paths.h"
#include "runtime/seccomp_cache.h"

namespace holdfast {

// What all of Runtime's methods share; constant after open().
struct Runtime::Impl {
  RuntimeOptions options;
  RuntimePaths paths;
  SpecHost host;
  RuntimeChoice choice;
  std::string conmon;                    // path
  std::vector<UniqueFd> monitor_groups;  // cgroup.procs of where monitors are kept

  // The runtime a container was created with, which need not be today's default.
  Result<RuntimeChoice> choice_of(const ContainerId& id) const;

  // Runs the runtime's `arguments` to their end; a refusal is kUnavailable with its own words.
  Status run(const RuntimeChoice& runtime, std::vector<std::string> arguments) const;

  // For crun alone, which can be given a compiled filter.
  SeccompCache seccomp_cache() const;

  // Where conmon puts its terminal's socket for a moment.
  std::string temporary_directory() const;

  // The beginning of conmon's arguments, common to containers and sessions.
  std::vector<std::string> monitor_arguments(const RuntimeChoice& runtime, const ContainerId& id,
                                             const std::string& unique_id,
                                             const std::string& directory) const;

  // The container's cgroup, relative to the mount of each hierarchy.
  Result<std::string> cgroup_of(const ContainerId& id) const;
  // The cgroup's directories, by controller ("memory", …); one for all on v2.
  std::string cgroup_directory(const std::string& cgroup, const std::string& controller) const;
  // Removes the cgroup in every hierarchy; false if it is in use in one.
  bool remove_cgroup(const std::string& cgroup) const;
  // The runtime's delete, without running it, for a container that has ended: false when it hasn't
  // or something of it still runs.
  bool remove_ended(const std::string& directory, const std::string& cgroup,
                    const std::string& state) const;
  void read_stats_v1(const std::string& cgroup, ContainerStats& stats) const;

  // Waits for a monitor to end, kills it if it doesn't, and reaps it if it is our child.
  void end_monitor(const std::string& directory, std::chrono::milliseconds patience) const;
};

// Control groups for monitors, open for joining; those that can't be made are left out.
std::vector<UniqueFd> open_monitor_groups(const CgroupLayout& cgroups, const std::string& parent);

Result<MonitorProcess> find_monitor_in(const std::string& directory);
MonitorProcess describe_monitor(pid_t pid, const std::string& directory);

}  // namespace holdfast
