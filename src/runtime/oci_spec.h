#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "os/cgroup.h"
#include "runtime/user_lookup.h"

namespace holdfast {

// Where docker-init is mounted.
inline constexpr std::string_view kInitTarget = "/sbin/docker-init";

// One mount of a container, in the order they are made. With `tree`, a detached mount (made by the
// caller with its attributes and id map already set) is what is bound; the runtime stages it and
// fills in type and source itself, and `options` hold only propagation ("rprivate", "rslave", …).
struct ContainerMount {
  std::string target;
  std::string type;  // "bind", "tmpfs", "proc", …; ignored with `tree`
  std::string source;
  std::vector<std::string> options;
  BorrowedFd tree{-1};
};

struct Ulimit {
  std::string name;       // "nofile", or "RLIMIT_NOFILE"
  std::int64_t soft = 0;  // -1: unlimited
  std::int64_t hard = 0;
};

struct ContainerDevice {
  std::string host_path;
  std::string container_path;
  std::string permissions = "rwm";
};

// bytes per second or operations per second for one block device.
struct BlockDeviceLimit {
  std::string path;
  std::uint64_t rate = 0;
};

// Limits; no value: unlimited, or unchanged in an update.
struct ContainerResources {
  std::optional<std::int64_t> memory;       // bytes
  std::optional<std::int64_t> memory_swap;  // bytes of memory and swap together; -1: unlimited
  std::optional<std::int64_t> memory_reservation;  // bytes
  std::optional<std::uint64_t> memory_swappiness;
  std::optional<bool> oom_kill_disable;
  std::optional<std::uint64_t> cpu_shares;
  std::optional<std::int64_t> cpu_quota;    // µs of each period; -1: unlimited
  std::optional<std::uint64_t> cpu_period;  // µs
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::optional<std::int64_t> pids;  // -1: unlimited
  std::optional<std::uint16_t> blkio_weight;
  std::vector<BlockDeviceLimit> read_bps, write_bps, read_iops, write_iops;
};

// Where a container's namespaces come from. A path joins one that exists.
struct ContainerNamespaces {
  enum class Kind { kPrivate, kHost, kPath };
  struct Choice {
    Kind kind = Kind::kPrivate;
    std::string path;
    bool borrowed = false;  // the path is another container's: its sysctls stay as they are
  };
  Choice network, pid, ipc, uts;
  Choice cgroup;  // kPrivate is Docker's default on cgroup v2, kHost on v1
  Choice user{Kind::kHost, {}};
  // Of a user namespace, to be made or joined: {container id, host id, count}.
  struct IdRange {
    std::uint32_t container = 0, host = 0, count = 0;
  };
  std::vector<IdRange> uids, gids;
};

struct SeccompChoice {
  enum class Kind { kDefault, kUnconfined, kProfile };
  Kind kind = Kind::kDefault;
  std::string profile;  // the JSON text of a profile in Docker's or containers-common's format
};

// All that decides a container's config.json. A plain value: filled by the engine, read by
// build_config().
struct ContainerSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;  // PATH, HOSTNAME and, on a terminal, TERM are added when missing
  std::string cwd = "/";
  ContainerUser user;
  bool terminal = false;
  std::pair<unsigned, unsigned> console_size{0, 0};  // rows, columns; 0: unknown

  std::string hostname;
  std::string domainname;
  std::vector<ContainerMount>
      mounts;  // beyond /proc, /dev, /sys, …; one at a default's target replaces it
  bool read_only_root = false;
  std::int64_t shm_size =
      64 << 20;       // bytes; ignored when `ipc` is not private or /dev/shm is mounted
  bool init = false;  // docker-init as pid 1

  bool privileged = false;
  std::vector<std::string> cap_add;  // "NET_ADMIN", "CAP_NET_ADMIN", "ALL"
  std::vector<std::string> cap_drop;
  SeccompChoice seccomp;
  bool no_new_privileges = false;
  std::string apparmor_profile;
  std::string selinux_label;  // of the process
  std::string selinux_mount_label;
  // No value: Docker's default lists, or none when privileged.
  std::optional<std::vector<std::string>> masked_paths;
  std::optional<std::vector<std::string>> read_only_paths;

  std::vector<ContainerDevice> devices;
  std::vector<std::string> device_cgroup_rules;  // "c 1:3 rwm"
  std::string cgroup_path;                       // "/holdfast/<id>"; empty: the runtime's default
  ContainerResources resources;
  std::vector<Ulimit> ulimits;
  std::map<std::string, std::string> sysctls;
  ContainerNamespaces namespaces;
  std::optional<int> oom_score_adj;
  std::string root_propagation;  // "", "rslave", "rshared", …
  std::map<std::string, std::string> annotations;
};

// What of the machine goes into a config.json; probed once by Runtime, set by hand in tests.
struct SpecHost {
  CgroupLayout cgroups;
  std::string init_program = "/usr/bin/docker-init";  // empty: there is none
  std::string seccomp_profile = "/usr/share/containers/seccomp.json";
  std::string device_directory = "/dev";
  bool swap_limit = true;  // the kernel can limit memory and swap together; else it is left out
};

// The text of config.json (OCI runtime specification 1.0.2, config.md). `root_path` is the root
// file system's place; a mount with a `tree` takes the entry of `stage_paths` at its index among
// all of spec.mounts. kInvalidArgument for what the client asked wrongly, in Docker's words.
Result<std::string> build_config(const ContainerSpec& spec, const SpecHost& host,
                                 const std::string& root_path,
                                 const std::vector<std::string>& stage_paths);

// A process started in a container that runs; what has no value is as in the container's own.
struct ExecSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;  // on top of the container's
  std::optional<std::string> cwd;
  std::optional<ContainerUser> user;
  bool terminal = false;
  std::pair<unsigned, unsigned> console_size{0, 0};
  bool privileged = false;
};

// The text of an OCI process object for `spec`, in the container of which `config` is config.json.
Result<std::string> build_exec_process(const ExecSpec& spec, const std::string& config);

// The text of an OCI LinuxResources object, as `update --resources` takes it.
std::string build_resources(const ContainerResources& resources, const SpecHost& host);

// The capabilities of a container ("CAP_CHOWN", …), sorted as the kernel numbers them: Docker's
// fourteen, plus and minus what was asked. kInvalidArgument names an unknown one as Docker does.
Result<std::vector<std::string>> effective_capabilities(const std::vector<std::string>& add,
                                                        const std::vector<std::string>& drop,
                                                        bool privileged);

}  // namespace holdfast
