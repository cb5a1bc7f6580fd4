#include "runtime/oci_spec.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "runtime/oci_resources.h"
#include "runtime/seccomp_profile.h"

namespace holdfast {
namespace {

using json::Array;
using json::Object;
using Kind = ContainerNamespaces::Kind;

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::array<const char*, 11> kMaskedPaths = {"/proc/asound",
                                                      "/proc/acpi",
                                                      "/proc/kcore",
                                                      "/proc/keys",
                                                      "/proc/latency_stats",
                                                      "/proc/timer_list",
                                                      "/proc/timer_stats",
                                                      "/proc/sched_debug",
                                                      "/proc/scsi",
                                                      "/sys/firmware",
                                                      "/sys/devices/virtual/powercap"};
constexpr std::array<const char*, 5> kReadOnlyPaths = {"/proc/bus", "/proc/fs", "/proc/irq",
                                                       "/proc/sys", "/proc/sysrq-trigger"};

template <typename List>
std::vector<std::string> to_strings(const List& list) {
  return {list.begin(), list.end()};
}

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
  return std::any_of(env.begin(), env.end(), [&](std::string_view entry) {
    return entry.starts_with(name) && entry.size() > name.size() && entry[name.size()] == '=';
  });
}

// What Docker's daemon puts in front of the variables asked for.
std::vector<std::string> environment(const ContainerSpec& spec) {
  std::vector<std::string> result;
  if (!has_variable(spec.env, "PATH")) result.emplace_back(kDefaultPath);
  if (!has_variable(spec.env, "HOSTNAME") && !spec.hostname.empty()) {
    result.push_back("HOSTNAME=" + spec.hostname);
  }
  if (spec.terminal && !has_variable(spec.env, "TERM")) result.emplace_back("TERM=xterm");
  result.insert(result.end(), spec.env.begin(), spec.env.end());
  return result;
}

Object user_object(const ContainerUser& user) {
  Object result;
  result["uid"] = user.uid;
  result["gid"] = user.gid;
  // The primary group is listed too: a process that drops it must not thereby gain access that a
  // file denies to that group.
  Array gids{json::Value(user.gid)};
  for (auto gid : user.additional_gids) {
    if (gid != user.gid) gids.push_back(json::Value(gid));
  }
  result["additionalGids"] = std::move(gids);
  return result;
}

// As execve(2) leaves it: who isn't root has capabilities only as a bound.
Object capability_object(const std::vector<std::string>& names, bool root) {
  Object result;
  result["bounding"] = json::from_strings(names);
  if (root) {
    result["effective"] = json::from_strings(names);
    result["permitted"] = json::from_strings(names);
  }
  return result;
}

Object console_object(std::pair<unsigned, unsigned> size) {
  Object result;
  result["height"] = size.first;
  result["width"] = size.second;
  return result;
}

Array ulimit_array(const std::vector<Ulimit>& ulimits) {
  Array result;
  for (const auto& ulimit : ulimits) {
    std::string name = ulimit.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    Object entry;
    entry["type"] = name.starts_with("RLIMIT_") ? name : "RLIMIT_" + name;
    entry["soft"] = static_cast<std::uint64_t>(ulimit.soft);  // -1 becomes RLIM_INFINITY
    entry["hard"] = static_cast<std::uint64_t>(ulimit.hard);
    result.push_back(std::move(entry));
  }
  return result;
}

bool uses_init(const ContainerSpec& spec) {
  return spec.init && spec.namespaces.pid.kind == Kind::kPrivate;
}

Object process_object(const ContainerSpec& spec, const std::vector<std::string>& capabilities) {
  Object process;
  process["terminal"] = spec.terminal;
  if (spec.terminal && spec.console_size.first) {
    process["consoleSize"] = console_object(spec.console_size);
  }
  process["user"] = user_object(spec.user);
  std::vector<std::string> args;
  if (uses_init(spec)) args = {std::string(kInitTarget), "--"};
  args.insert(args.end(), spec.args.begin(), spec.args.end());
  process["args"] = json::from_strings(args);
  process["env"] = json::from_strings(environment(spec));
  process["cwd"] = spec.cwd.empty() ? "/" : spec.cwd;
  process["capabilities"] = capability_object(capabilities, spec.user.uid == 0);
  if (!spec.ulimits.empty()) process["rlimits"] = ulimit_array(spec.ulimits);
  process["noNewPrivileges"] = spec.no_new_privileges;
  if (!spec.apparmor_profile.empty()) process["apparmorProfile"] = spec.apparmor_profile;
  if (!spec.selinux_label.empty()) process["selinuxLabel"] = spec.selinux_label;
  process["oomScoreAdj"] = spec.oom_score_adj.value_or(0);
  return process;
}

std::vector<ContainerMount> default_mounts(const ContainerSpec& spec) {
  std::string access = spec.privileged ? "rw" : "ro";
  std::vector<ContainerMount> mounts = {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
      {"/sys/fs/cgroup", "cgroup", "cgroup", {access, "nosuid", "noexec", "nodev"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
  };
  const auto& ipc = spec.namespaces.ipc.kind;
  if (ipc == Kind::kHost) {
    // The host's message queues and shared memory are seen as they are.
    mounts[5] = {"/dev/mqueue", "bind", "/dev/mqueue", {"rbind", "nosuid", "noexec", "nodev"}};
    mounts.push_back({"/dev/shm", "bind", "/dev/shm", {"rbind", "nosuid", "noexec", "nodev"}});
  } else {
    mounts.push_back(
        {"/dev/shm",
         "tmpfs",
         "shm",
         {"nosuid", "noexec", "nodev", "mode=1777", fmt::format("size={}", spec.shm_size)}});
  }
  // A new sysfs shows the network namespace it is mounted in; where that is the host's and the user
  // namespace isn't, only a bind is allowed.
  if (spec.namespaces.network.kind == Kind::kHost && spec.namespaces.user.kind != Kind::kHost) {
    mounts[3] = {"/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}};
  }
  return mounts;
}

bool is_propagation(std::string_view option) {
  constexpr std::array<std::string_view, 8> kWords = {
      "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"};
  return std::find(kWords.begin(), kWords.end(), option) != kWords.end();
}

Object mount_object(const ContainerMount& mount) {
  Object result;
  result["destination"] = mount.target;
  result["type"] = mount.type;
  result["source"] = mount.source;
  auto options = mount.options;
  if (mount.type == "bind") {
    auto has = [&](std::string_view word) {
      return std::find(options.begin(), options.end(), word) != options.end();
    };
    if (!has("bind") && !has("rbind")) options.insert(options.begin(), "rbind");
    if (std::none_of(options.begin(), options.end(), is_propagation)) options.push_back("rprivate");
  }
  result["options"] = json::from_strings(options);
  return result;
}

std::size_t depth(const std::string& path) {
  return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

// The flags of a detached mount as options: crun sets a bind's flags anew from its options, and
// would make a read-only one writable.
void add_flags(BorrowedFd tree, std::vector<std::string>& options) {
  constexpr std::array<std::pair<unsigned long, const char*>, 5> kFlags = {
      {{ST_RDONLY, "ro"},
       {ST_NOSUID, "nosuid"},
       {ST_NODEV, "nodev"},
       {ST_NOEXEC, "noexec"},
       {ST_NOATIME, "noatime"}}};
  struct statvfs status = {};
  if (::fstatvfs(tree.get(), &status) != 0) return;
  for (auto [flag, word] : kFlags) {
    if ((status.f_flag & flag) == 0) continue;
    if (std::find(options.begin(), options.end(), word) == options.end())
      options.emplace_back(word);
  }
}

// The container's own mounts with their sources filled in, parents before children.
std::vector<ContainerMount> own_mounts(const ContainerSpec& spec,
                                       const std::vector<std::string>& stage_paths) {
  auto mounts = spec.mounts;
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    if (!mounts[i].tree.valid()) continue;
    CHECK(i < stage_paths.size());
    mounts[i].type = "bind";
    mounts[i].source = stage_paths[i];
    add_flags(mounts[i].tree, mounts[i].options);
  }
  std::stable_sort(mounts.begin(), mounts.end(),
                   [](const ContainerMount& left, const ContainerMount& right) {
                     return depth(left.target) < depth(right.target);
                   });
  return mounts;
}

Array mount_array(const ContainerSpec& spec, const SpecHost& host,
                  const std::vector<std::string>& stage_paths) {
  auto own = own_mounts(spec, stage_paths);
  Array result;
  for (const auto& mount : default_mounts(spec)) {
    bool replaced = std::any_of(own.begin(), own.end(), [&](const ContainerMount& other) {
      return other.target == mount.target;
    });
    if (mount.type == "cgroup" && host.cgroups.mode == CgroupLayout::Mode::kNone) continue;
    if (!replaced) result.push_back(mount_object(mount));
  }
  if (uses_init(spec)) {
    result.push_back(
        mount_object({std::string(kInitTarget), "bind", host.init_program, {"bind", "ro"}}));
  }
  for (const auto& mount : own) result.push_back(mount_object(mount));
  return result;
}

// A bind with "shared" or "slave" means something only if the container's whole tree starts out
// with the host's peer groups.
std::string root_propagation(const ContainerSpec& spec) {
  if (!spec.root_propagation.empty()) return spec.root_propagation;
  std::string result;
  for (const auto& mount : spec.mounts) {
    for (const auto& option : mount.options) {
      if (option == "shared" || option == "rshared") return "shared";
      if (option == "slave" || option == "rslave") result = "rslave";
    }
  }
  return result;
}

Object namespace_object(const char* type, const std::string& path) {
  Object result;
  result["type"] = type;
  if (!path.empty()) result["path"] = path;
  return result;
}

Array namespace_array(const ContainerSpec& spec) {
  const auto& choices = spec.namespaces;
  const std::array<std::pair<const char*, const ContainerNamespaces::Choice*>, 6> kinds = {{
      {"pid", &choices.pid},
      {"network", &choices.network},
      {"ipc", &choices.ipc},
      {"uts", &choices.uts},
      {"cgroup", &choices.cgroup},
      {"user", &choices.user},
  }};
  Array result{namespace_object("mount", "")};
  for (auto [type, choice] : kinds) {
    if (choice->kind != Kind::kHost) result.push_back(namespace_object(type, choice->path));
  }
  return result;
}

Array id_map_array(const std::vector<ContainerNamespaces::IdRange>& ranges) {
  Array result;
  for (const auto& range : ranges) {
    Object entry;
    entry["containerID"] = range.container;
    entry["hostID"] = range.host;
    entry["size"] = range.count;
    result.push_back(std::move(entry));
  }
  return result;
}

Object sysctl_object(const ContainerSpec& spec) {
  std::map<std::string, std::string> sysctls;
  const auto& network = spec.namespaces.network;
  if (network.kind != Kind::kHost && !network.borrowed) {
    // Unprivileged processes may ping and listen on low ports, as with Docker: the namespace is the
    // container's own.
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "0";
    if (spec.namespaces.user.kind == Kind::kHost) {
      sysctls["net.ipv4.ping_group_range"] = "0 2147483647";
    }
  }
  if (!spec.domainname.empty() && spec.namespaces.uts.kind == Kind::kPrivate) {
    sysctls["kernel.domainname"] = spec.domainname;
  }
  for (const auto& [name, value] : spec.sysctls) sysctls[name] = value;
  return json::from_string_map(sysctls);
}

Result<std::string> seccomp_text(const SeccompChoice& choice, const SpecHost& host) {
  if (choice.kind == SeccompChoice::Kind::kProfile) return choice.profile;
  return read_file(host.seccomp_profile);
}

Status add_seccomp(const ContainerSpec& spec, const SpecHost& host,
                   const std::vector<std::string>& capabilities, Object& linux_object) {
  bool by_default = spec.seccomp.kind == SeccompChoice::Kind::kDefault;
  if (spec.seccomp.kind == SeccompChoice::Kind::kUnconfined) return {};
  if (by_default && (spec.privileged || host.seccomp_profile.empty())) return {};
  ASSIGN_OR_RETURN(auto text, seccomp_text(spec.seccomp, host));
  auto translated = translate_seccomp(text, capabilities, go_architecture(), kernel_release());
  if (!translated) {
    return fail(Code::kInvalidArgument, "Decoding seccomp profile failed: {}",
                translated.error().message);
  }
  linux_object["seccomp"] = std::move(*translated);
  return {};
}

void add_paths(const ContainerSpec& spec, Object& linux_object) {
  auto masked = spec.masked_paths;
  auto read_only = spec.read_only_paths;
  if (!masked) masked = spec.privileged ? std::vector<std::string>() : to_strings(kMaskedPaths);
  if (!read_only) {
    read_only = spec.privileged ? std::vector<std::string>() : to_strings(kReadOnlyPaths);
  }
  if (!masked->empty()) linux_object["maskedPaths"] = json::from_strings(*masked);
  if (!read_only->empty()) linux_object["readonlyPaths"] = json::from_strings(*read_only);
}

Result<Object> build_linux(const ContainerSpec& spec, const SpecHost& host,
                           const std::vector<std::string>& capabilities) {
  Object result;
  result["namespaces"] = namespace_array(spec);
  // Where a namespace is joined its map is there already, but runc wants to know it.
  if (!spec.namespaces.uids.empty()) {
    result["uidMappings"] = id_map_array(spec.namespaces.uids);
    result["gidMappings"] = id_map_array(spec.namespaces.gids);
  }
  if (!spec.cgroup_path.empty()) result["cgroupsPath"] = spec.cgroup_path;
  auto resources = resources_object(spec.resources, host);
  ASSIGN_OR_RETURN(auto devices, build_devices(spec, host));
  resources["devices"] = std::move(devices.rules);
  result["resources"] = std::move(resources);
  if (!devices.nodes.empty()) result["devices"] = std::move(devices.nodes);
  result["sysctl"] = sysctl_object(spec);
  if (auto propagation = root_propagation(spec); !propagation.empty()) {
    result["rootfsPropagation"] = propagation;
  }
  if (!spec.selinux_mount_label.empty()) result["mountLabel"] = spec.selinux_mount_label;
  add_paths(spec, result);
  RETURN_IF_ERROR(add_seccomp(spec, host, capabilities, result));
  return result;
}

}  // namespace

Result<json::Object> build_config_object(const ContainerSpec& spec, const SpecHost& host,
                                         const std::string& root_path,
                                         const std::vector<std::string>& stage_paths) {
  if (spec.args.empty()) return fail(Code::kInvalidArgument, "no command specified");
  if (uses_init(spec) && host.init_program.empty()) {
    return fail(Code::kFailedPrecondition,
                "exec: \"docker-init\": executable file not found in $PATH");
  }
  ASSIGN_OR_RETURN(auto capabilities,
                   effective_capabilities(spec.cap_add, spec.cap_drop, spec.privileged));
  Object config;
  config["ociVersion"] = "1.0.2";
  config["process"] = process_object(spec, capabilities);
  Object root;
  root["path"] = root_path;
  root["readonly"] = spec.read_only_root;
  config["root"] = std::move(root);
  if (spec.namespaces.uts.kind == Kind::kPrivate && !spec.hostname.empty()) {
    config["hostname"] = spec.hostname;
  }
  config["mounts"] = mount_array(spec, host, stage_paths);
  if (!spec.annotations.empty()) config["annotations"] = json::from_string_map(spec.annotations);
  ASSIGN_OR_RETURN(config["linux"], build_linux(spec, host, capabilities));
  return config;
}

Result<std::string> build_config(const ContainerSpec& spec, const SpecHost& host,
                                 const std::string& root_path,
                                 const std::vector<std::string>& stage_paths) {
  ASSIGN_OR_RETURN(auto config, build_config_object(spec, host, root_path, stage_paths));
  return json::serialize(config);
}

Result<std::string> build_exec_process(const ExecSpec& spec, const std::string& config_text) {
  if (spec.args.empty()) return fail(Code::kInvalidArgument, "No exec command specified");
  ASSIGN_OR_RETURN(auto config, json::parse_object(config_text));
  Object process = json::object_or_empty(config, "process");
  process["args"] = json::from_strings(spec.args);
  process["terminal"] = spec.terminal;
  process.erase("consoleSize");
  if (spec.terminal && spec.console_size.first) {
    process["consoleSize"] = console_object(spec.console_size);
  }
  auto env = json::strings_or_empty(process, "env");
  for (const auto& entry : spec.env) {
    std::string name = entry.substr(0, entry.find('='));
    std::erase_if(env, [&](const std::string& old) { return old.starts_with(name + "="); });
    env.push_back(entry);
  }
  if (spec.terminal && !has_variable(env, "TERM")) env.emplace_back("TERM=xterm");
  process["env"] = json::from_strings(env);
  if (spec.cwd && !spec.cwd->empty()) process["cwd"] = *spec.cwd;
  if (spec.user) process["user"] = user_object(*spec.user);
  auto names = json::strings_or_empty(json::object_or_empty(process, "capabilities"), "bounding");
  if (spec.privileged) {
    ASSIGN_OR_RETURN(names, effective_capabilities({}, {}, true));
  }
  bool root = json::int_or(json::object_or_empty(process, "user"), "uid") == 0;
  process["capabilities"] = capability_object(names, root);
  return json::serialize(process);
}

std::string build_resources(const ContainerResources& resources, const SpecHost& host) {
  return json::serialize(resources_object(resources, host));
}

}  // namespace holdfast
