#include "engine/container_config.h"

#include <array>
#include <charconv>
#include <set>

#include "engine/user_ranges.h"
#include "runtime/oci_spec.h"

namespace holdfast {
namespace {

enum class Shape { kString, kInt, kBool, kStrings, kStringMap, kObject, kArray, kAny };

// One field of the API: its name, what it holds, and the default as JSON text ("" leaves it out).
struct Field {
  const char* name;
  Shape shape;
  const char* fallback;
};

constexpr Field kConfigFields[] = {
    {"Hostname", Shape::kString, "\"\""},    {"Domainname", Shape::kString, "\"\""},
    {"User", Shape::kString, "\"\""},        {"AttachStdin", Shape::kBool, "false"},
    {"AttachStdout", Shape::kBool, "false"}, {"AttachStderr", Shape::kBool, "false"},
    {"ExposedPorts", Shape::kObject, ""},    {"Tty", Shape::kBool, "false"},
    {"OpenStdin", Shape::kBool, "false"},    {"StdinOnce", Shape::kBool, "false"},
    {"Env", Shape::kStrings, "[]"},          {"Cmd", Shape::kStrings, "null"},
    {"Healthcheck", Shape::kObject, ""},     {"Image", Shape::kString, "\"\""},
    {"Volumes", Shape::kObject, "null"},     {"WorkingDir", Shape::kString, "\"\""},
    {"Entrypoint", Shape::kStrings, "null"}, {"NetworkDisabled", Shape::kBool, ""},
    {"MacAddress", Shape::kString, ""},      {"OnBuild", Shape::kStrings, "null"},
    {"Labels", Shape::kStringMap, "{}"},     {"StopSignal", Shape::kString, ""},
    {"StopTimeout", Shape::kInt, ""},        {"Shell", Shape::kStrings, ""},
};

constexpr Field kHostConfigFields[] = {
    {"Binds", Shape::kStrings, "null"},
    {"ContainerIDFile", Shape::kString, "\"\""},
    {"LogConfig", Shape::kObject, "{\"Type\":\"json-file\",\"Config\":{}}"},
    {"NetworkMode", Shape::kString, "\"bridge\""},
    {"PortBindings", Shape::kObject, "{}"},
    {"RestartPolicy", Shape::kObject, "{\"Name\":\"no\",\"MaximumRetryCount\":0}"},
    {"AutoRemove", Shape::kBool, "false"},
    {"VolumeDriver", Shape::kString, "\"\""},
    {"VolumesFrom", Shape::kStrings, "null"},
    {"ConsoleSize", Shape::kArray, "[0,0]"},
    {"Annotations", Shape::kStringMap, ""},
    {"CapAdd", Shape::kStrings, "null"},
    {"CapDrop", Shape::kStrings, "null"},
    {"CgroupnsMode", Shape::kString, "\"private\""},
    {"Dns", Shape::kStrings, "[]"},
    {"DnsOptions", Shape::kStrings, "[]"},
    {"DnsSearch", Shape::kStrings, "[]"},
    {"ExtraHosts", Shape::kStrings, "null"},
    {"GroupAdd", Shape::kStrings, "null"},
    {"IpcMode", Shape::kString, "\"private\""},
    {"Cgroup", Shape::kString, "\"\""},
    {"Links", Shape::kStrings, "null"},
    {"OomScoreAdj", Shape::kInt, "0"},
    {"PidMode", Shape::kString, "\"\""},
    {"Privileged", Shape::kBool, "false"},
    {"PublishAllPorts", Shape::kBool, "false"},
    {"ReadonlyRootfs", Shape::kBool, "false"},
    {"SecurityOpt", Shape::kStrings, "null"},
    {"StorageOpt", Shape::kStringMap, ""},
    {"Tmpfs", Shape::kStringMap, ""},
    {"UTSMode", Shape::kString, "\"\""},
    {"UsernsMode", Shape::kString, "\"\""},
    {"ShmSize", Shape::kInt, "67108864"},
    {"Sysctls", Shape::kStringMap, ""},
    {"Runtime", Shape::kString, "\"\""},
    {"Isolation", Shape::kString, "\"\""},
    {"CpuShares", Shape::kInt, "0"},
    {"Memory", Shape::kInt, "0"},
    {"NanoCpus", Shape::kInt, "0"},
    {"CgroupParent", Shape::kString, "\"\""},
    {"BlkioWeight", Shape::kInt, "0"},
    {"BlkioWeightDevice", Shape::kArray, "[]"},
    {"BlkioDeviceReadBps", Shape::kArray, "[]"},
    {"BlkioDeviceWriteBps", Shape::kArray, "[]"},
    {"BlkioDeviceReadIOps", Shape::kArray, "[]"},
    {"BlkioDeviceWriteIOps", Shape::kArray, "[]"},
    {"CpuPeriod", Shape::kInt, "0"},
    {"CpuQuota", Shape::kInt, "0"},
    {"CpuRealtimePeriod", Shape::kInt, "0"},
    {"CpuRealtimeRuntime", Shape::kInt, "0"},
    {"CpusetCpus", Shape::kString, "\"\""},
    {"CpusetMems", Shape::kString, "\"\""},
    {"Devices", Shape::kArray, "[]"},
    {"DeviceCgroupRules", Shape::kStrings, "null"},
    {"DeviceRequests", Shape::kArray, "null"},
    {"MemoryReservation", Shape::kInt, "0"},
    {"MemorySwap", Shape::kInt, "0"},
    {"MemorySwappiness", Shape::kInt, "null"},
    {"OomKillDisable", Shape::kBool, "null"},
    {"PidsLimit", Shape::kInt, "null"},
    {"Ulimits", Shape::kArray, "[]"},
    {"CpuCount", Shape::kInt, "0"},
    {"CpuPercent", Shape::kInt, "0"},
    {"IOMaximumIOps", Shape::kInt, "0"},
    {"IOMaximumBandwidth", Shape::kInt, "0"},
    {"Mounts", Shape::kArray, ""},
    {"Init", Shape::kBool, ""},
    {"MaskedPaths", Shape::kStrings, ""},
    {"ReadonlyPaths", Shape::kStrings, ""},
    {"Secrets", Shape::kArray, ""},  // ours: docs/api.md
};

// A field's value if it has the right shape; numbers come out as integers, a string where a list is
// wanted as a list of one, as Docker's decoder has it.
Result<json::Value> shaped(const json::Object& object, const Field& field) {
  switch (field.shape) {
    case Shape::kString: {
      ASSIGN_OR_RETURN(auto text, json::get_string(object, field.name));
      return json::Value(text);
    }
    case Shape::kInt: {
      ASSIGN_OR_RETURN(auto number, json::get_int(object, field.name));
      return json::Value(number);
    }
    case Shape::kBool: {
      ASSIGN_OR_RETURN(auto flag, json::get_bool(object, field.name));
      return json::Value(flag);
    }
    case Shape::kStrings: {
      ASSIGN_OR_RETURN(auto strings, json::get_strings(object, field.name));
      return json::Value(json::from_strings(strings));
    }
    case Shape::kStringMap: {
      ASSIGN_OR_RETURN(auto map, json::get_string_map(object, field.name));
      return json::Value(json::from_string_map(map));
    }
    case Shape::kObject: {
      ASSIGN_OR_RETURN(auto members, json::get_object(object, field.name));
      return json::Value(std::move(members));
    }
    case Shape::kArray: {
      ASSIGN_OR_RETURN(auto items, json::get_array(object, field.name));
      return json::Value(std::move(items));
    }
    case Shape::kAny:
      return *json::find(object, field.name);
  }
  return json::Value();
}

template <std::size_t N>
Result<json::Object> normalise(const json::Object& given, const Field (&fields)[N]) {
  json::Object result;
  for (const Field& field : fields) {
    if (json::find(given, field.name)) {
      ASSIGN_OR_RETURN(result[field.name], shaped(given, field));
    } else if (*field.fallback) {
      result[field.name] = boost::json::parse(field.fallback);
    }
  }
  return result;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), text) != known.end();
}

Status check_restart_policy(const json::Object& host_config) {
  const auto& policy = json::object_or_empty(host_config, "RestartPolicy");
  std::string name = json::string_or(policy, "Name");
  std::int64_t retries = json::int_or(policy, "MaximumRetryCount");
  if (!is_one_of(name, {"", "no", "always", "on-failure", "unless-stopped"})) {
    return fail(
        Code::kInvalidArgument,
        "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', 'on-failure', or "
        "'unless-stopped'",
        name);
  }
  if (retries != 0 && name != "on-failure") {
    return fail(Code::kInvalidArgument,
                "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  if (retries < 0) {
    return fail(Code::kInvalidArgument,
                "invalid restart policy: maximum retry count cannot be negative");
  }
  if (json::bool_or(host_config, "AutoRemove") && !is_one_of(name, {"", "no"})) {
    return fail(Code::kInvalidArgument, "can't create 'AutoRemove' container with restart policy");
  }
  return {};
}

Status check_resources(const json::Object& host_config) {
  std::int64_t memory = json::int_or(host_config, "Memory");
  if (memory != 0 && memory < 6 * 1024 * 1024) {
    return fail(Code::kInvalidArgument, "Minimum memory limit allowed is 6MB");
  }
  std::int64_t swap = json::int_or(host_config, "MemorySwap");
  if (swap > 0 && memory == 0) {
    return fail(Code::kInvalidArgument,
                "You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (swap > 0 && swap < memory) {
    return fail(Code::kInvalidArgument,
                "Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  std::int64_t reservation = json::int_or(host_config, "MemoryReservation");
  if (memory > 0 && reservation > memory) {
    return fail(Code::kInvalidArgument,
                "Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  if (json::int_or(host_config, "NanoCpus") != 0 &&
      (json::int_or(host_config, "CpuQuota") != 0 || json::int_or(host_config, "CpuPeriod") != 0)) {
    return fail(Code::kInvalidArgument,
                "Conflicting options: Nano CPUs and CPU {} cannot both be set",
                json::int_or(host_config, "CpuPeriod") != 0 ? "Period" : "Quota");
  }
  if (json::int_or(host_config, "NanoCpus") < 0) {
    return fail(Code::kInvalidArgument, "invalid NanoCpus: the value must not be negative");
  }
  if (json::int_or(host_config, "ShmSize") < 0) {
    return fail(Code::kInvalidArgument, "SHM size can not be less than 0");
  }
  std::int64_t oom = json::int_or(host_config, "OomScoreAdj");
  if (oom < -1000 || oom > 1000) {
    return fail(Code::kInvalidArgument,
                "Invalid value {}, range for oom score adj is [-1000, 1000]", oom);
  }
  return {};
}

// "container:", "host" and the other modes that name whose namespace is used.
Status check_namespaces(const json::Object& host_config) {
  std::string ipc = json::string_or(host_config, "IpcMode");
  if (!is_one_of(ipc, {"", "none", "private", "shareable", "host"}) &&
      !ipc.starts_with("container:")) {
    return fail(Code::kInvalidArgument, "invalid IPC mode: {}", ipc);
  }
  std::string pid = json::string_or(host_config, "PidMode");
  if (!is_one_of(pid, {"", "private", "host"}) && !pid.starts_with("container:")) {
    return fail(Code::kInvalidArgument, "invalid PID mode: {}", pid);
  }
  std::string uts = json::string_or(host_config, "UTSMode");
  if (!is_one_of(uts, {"", "host"}))
    return fail(Code::kInvalidArgument, "invalid UTS mode: {}", uts);
  std::string cgroup = json::string_or(host_config, "CgroupnsMode");
  if (!is_one_of(cgroup, {"", "private", "host"})) {
    return fail(Code::kInvalidArgument, "invalid cgroup namespace mode: {}", cgroup);
  }
  return {};
}

// What is asked for and not to be had is refused: a limit that is silently not there is worse than
// none.
Status check_unsupported(const json::Object& host_config) {
  if (!json::array_or_empty(host_config, "DeviceRequests").empty()) {
    return fail(Code::kInvalidArgument,
                "could not select device driver \"\" with capabilities: [[gpu]]");
  }
  if (!json::object_or_empty(host_config, "StorageOpt").empty()) {
    return fail(Code::kInvalidArgument,
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  std::string isolation = json::string_or(host_config, "Isolation");
  if (!is_one_of(isolation, {"", "default"})) {
    return fail(Code::kInvalidArgument, "invalid isolation '{}' on linux", isolation);
  }
  return {};
}

// A user namespace of its own shares no namespace of the host's, nor its privileges.
Status check_user_namespace(const json::Object& host_config) {
  ASSIGN_OR_RETURN(auto ids, parse_userns_mode(json::string_or(host_config, "UsernsMode")));
  if (ids == 0) return {};
  if (json::bool_or(host_config, "Privileged"))
    return fail(Code::kInvalidArgument,
                "privileged mode is incompatible with user namespaces.  You must run the container "
                "in the host namespace when running privileged mode");
  struct Shared {
    const char* key;
    const char* name;
  };
  for (auto [key, name] : {Shared{"NetworkMode", "network"}, Shared{"PidMode", "PID"},
                           Shared{"IpcMode", "IPC"}, Shared{"UTSMode", "UTS"}}) {
    std::string mode = json::string_or(host_config, key);
    if (mode == "host")
      return fail(Code::kInvalidArgument,
                  "cannot share the host's {} namespace when user namespaces are enabled", name);
    if (mode.starts_with("container:"))
      return fail(Code::kInvalidArgument,
                  "cannot share the {} namespace of another container when user namespaces are "
                  "enabled",
                  name);
  }
  return {};
}

// There is one runtime; the names that mean "the usual one" elsewhere mean it here.
Status choose_runtime(json::Object& host_config, std::string_view default_runtime) {
  std::string asked = json::string_or(host_config, "Runtime");
  if (asked != default_runtime &&
      !is_one_of(asked, {"", "runc", "crun", "io.containerd.runc.v2"})) {
    return fail(Code::kInvalidArgument, "unknown or invalid runtime name: {}", asked);
  }
  host_config["Runtime"] = default_runtime;
  return {};
}

Status check_log_driver(const json::Object& host_config) {
  std::string type = json::string_or(json::object_or_empty(host_config, "LogConfig"), "Type");
  if (!is_one_of(type, {"", "json-file", "local", "none"})) {
    return fail(Code::kInvalidArgument, "logger: no log driver named '{}' is registered", type);
  }
  return {};
}

Status check_environment(const json::Object& config) {
  for (const auto& entry : json::strings_or_empty(config, "Env")) {
    if (entry.empty() || entry.front() == '=') {
      return fail(Code::kInvalidArgument, "invalid environment variable: {}", entry);
    }
    if (entry.find('\0') != std::string::npos) {
      return fail(Code::kInvalidArgument, "invalid environment variable: it holds a NUL");
    }
  }
  return {};
}

Status check_working_directory(const json::Object& config) {
  std::string directory = json::string_or(config, "WorkingDir");
  if (!directory.empty() && directory.front() != '/') {
    return fail(Code::kInvalidArgument,
                "the working directory '{}' is invalid, it needs to be an absolute path",
                directory);
  }
  return {};
}

Status check_capabilities(const json::Object& host_config) {
  auto effective = effective_capabilities(json::strings_or_empty(host_config, "CapAdd"),
                                          json::strings_or_empty(host_config, "CapDrop"), false);
  return effective ? Status() : tl::unexpected(std::move(effective).error());
}

Status check_health(const json::Object& config) {
  const auto& check = json::object_or_empty(config, "Healthcheck");
  for (const char* key : {"Interval", "Timeout", "StartPeriod", "StartInterval"}) {
    ASSIGN_OR_RETURN(auto nanos, json::get_int(check, key));
    if (nanos != 0 && nanos < 1'000'000) {
      return fail(Code::kInvalidArgument, "{} in Healthcheck cannot be less than 1ms", key);
    }
  }
  ASSIGN_OR_RETURN(auto retries, json::get_int(check, "Retries"));
  if (retries < 0) return fail(Code::kInvalidArgument, "Retries in Healthcheck cannot be negative");
  return {};
}

// Hostnames follow RFC 1123 but for the length of the whole, which the kernel bounds at 64.
Status check_hostname(const json::Object& config) {
  std::string name = json::string_or(config, "Hostname");
  for (char c : name) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                c == '-' || c == '.' || c == '_';
    if (!good) return fail(Code::kInvalidArgument, "invalid hostname format: {}", name);
  }
  if (name.size() > 63) return fail(Code::kInvalidArgument, "invalid hostname format: {}", name);
  return {};
}

void fill_modes(json::Object& host_config) {
  auto set_if_empty = [&](const char* key, std::string_view value) {
    if (json::string_or(host_config, key).empty()) host_config[key] = value;
  };
  set_if_empty("NetworkMode", "bridge");
  if (json::string_or(host_config, "NetworkMode") == "default")
    host_config["NetworkMode"] = "bridge";
  set_if_empty("IpcMode", "private");
  set_if_empty("CgroupnsMode", json::bool_or(host_config, "Privileged") ? "host" : "private");
  auto& policy = host_config["RestartPolicy"].get_object();
  policy["Name"] = json::string_or(policy, "Name").empty() ? "no" : json::string_or(policy, "Name");
  policy["MaximumRetryCount"] = json::int_or(policy, "MaximumRetryCount");
  auto& log = host_config["LogConfig"].get_object();
  if (json::string_or(log, "Type").empty()) log["Type"] = "json-file";
  if (!json::find(log, "Config")) log["Config"] = json::Object{};
  if (json::int_or(host_config, "ShmSize") == 0) host_config["ShmSize"] = 67108864;
}

}  // namespace

Result<ContainerConfig> parse_container_config(const json::Object& body,
                                               const ConfigDefaults& defaults) {
  ContainerConfig result;
  ASSIGN_OR_RETURN(result.config, normalise(body, kConfigFields));
  ASSIGN_OR_RETURN(auto host_config, json::get_object(body, "HostConfig"));
  ASSIGN_OR_RETURN(result.host_config, normalise(host_config, kHostConfigFields));
  ASSIGN_OR_RETURN(auto networking, json::get_object(body, "NetworkingConfig"));
  ASSIGN_OR_RETURN(result.networking, json::get_object(networking, "EndpointsConfig"));
  if (json::string_or(result.config, "Image").empty()) {
    return fail(Code::kInvalidArgument, "config cannot be empty in order to create a container");
  }
  fill_modes(result.host_config);
  if (defaults.private_users && json::string_or(result.host_config, "UsernsMode").empty())
    result.host_config["UsernsMode"] = "auto";
  RETURN_IF_ERROR(choose_runtime(result.host_config, defaults.runtime));
  RETURN_IF_ERROR(check_unsupported(result.host_config));
  RETURN_IF_ERROR(check_restart_policy(result.host_config));
  RETURN_IF_ERROR(check_resources(result.host_config));
  RETURN_IF_ERROR(check_namespaces(result.host_config));
  RETURN_IF_ERROR(check_user_namespace(result.host_config));
  RETURN_IF_ERROR(check_log_driver(result.host_config));
  RETURN_IF_ERROR(check_capabilities(result.host_config));
  RETURN_IF_ERROR(check_environment(result.config));
  RETURN_IF_ERROR(check_working_directory(result.config));
  RETURN_IF_ERROR(check_hostname(result.config));
  RETURN_IF_ERROR(check_health(result.config));
  return result;
}

namespace {

std::string_view variable_name(std::string_view entry) { return entry.substr(0, entry.find('=')); }

// The image's variables first, each replaced where the container sets it.
json::Array merge_environment(const std::vector<std::string>& own,
                              const std::vector<std::string>& image) {
  std::set<std::string_view> taken;
  for (const auto& entry : own) taken.insert(variable_name(entry));
  json::Array merged;
  for (const auto& entry : own) merged.emplace_back(entry);
  for (const auto& entry : image) {
    if (!taken.contains(variable_name(entry))) merged.emplace_back(entry);
  }
  return merged;
}

void merge_members(json::Object& config, const json::Object& image_config, const char* key) {
  const auto& beneath = json::object_or_empty(image_config, key);
  if (beneath.empty()) return;
  json::Object merged = beneath;
  for (const auto& [name, value] : json::object_or_empty(config, key)) merged[name] = value;
  config[key] = std::move(merged);
}

}  // namespace

Status merge_image_config(json::Object& config, const json::Object& image_config) {
  config["Env"] = merge_environment(json::strings_or_empty(config, "Env"),
                                    json::strings_or_empty(image_config, "Env"));
  for (const char* key : {"Labels", "ExposedPorts", "Volumes"})
    merge_members(config, image_config, key);
  for (const char* key : {"WorkingDir", "User", "StopSignal"}) {
    if (json::string_or(config, key).empty() && !json::string_or(image_config, key).empty()) {
      config[key] = json::string_or(image_config, key);
    }
  }
  // An entrypoint of [""] resets the image's, and with it the image's command.
  auto entrypoint = json::strings_or_empty(config, "Entrypoint");
  if (entrypoint.empty()) {
    if (json::strings_or_empty(config, "Cmd").empty()) {
      config["Cmd"] = json::from_strings(json::strings_or_empty(image_config, "Cmd"));
    }
    auto from_image = json::strings_or_empty(image_config, "Entrypoint");
    if (!from_image.empty()) config["Entrypoint"] = json::from_strings(from_image);
  } else if (entrypoint.size() == 1 && entrypoint[0].empty()) {
    config["Entrypoint"] = nullptr;
  }
  if (!json::find(config, "Healthcheck") && json::find(image_config, "Healthcheck")) {
    config["Healthcheck"] = *json::find(image_config, "Healthcheck");
  }
  if (json::strings_or_empty(config, "Entrypoint").empty() &&
      json::strings_or_empty(config, "Cmd").empty()) {
    return fail(Code::kInvalidArgument, "no command specified");
  }
  return {};
}

Status merge_update(json::Object& host_config, const json::Object& update) {
  static const std::set<std::string_view> kUpdatable = {
      "BlkioWeight", "CpuShares",         "CpuPeriod",          "CpuQuota",     "CpusetCpus",
      "CpusetMems",  "CpuRealtimePeriod", "NanoCpus",           "Memory",       "MemoryReservation",
      "MemorySwap",  "PidsLimit",         "CpuRealtimeRuntime", "RestartPolicy"};
  json::Object changed = host_config;
  for (const Field& field : kHostConfigFields) {
    if (!kUpdatable.contains(field.name) || !json::find(update, field.name)) continue;
    ASSIGN_OR_RETURN(auto value, shaped(update, field));
    // In an update zero and empty mean "leave it", as clients send every field.
    bool unset = (value.is_int64() && value.get_int64() == 0) ||
                 (value.is_string() && value.get_string().empty()) ||
                 (value.is_object() && json::string_or(value.get_object(), "Name").empty());
    if (!unset) changed[field.name] = std::move(value);
  }
  if (json::int_or(update, "Memory") != 0 && !json::int_or(update, "MemorySwap") &&
      json::int_or(host_config, "MemorySwap") > 0 &&
      json::int_or(update, "Memory") > json::int_or(host_config, "MemorySwap")) {
    return fail(Code::kInvalidArgument,
                "Memory limit should be smaller than already set memoryswap limit, update the "
                "memoryswap at the "
                "same time");
  }
  fill_modes(changed);
  RETURN_IF_ERROR(check_restart_policy(changed));
  RETURN_IF_ERROR(check_resources(changed));
  host_config = std::move(changed);
  return {};
}

}  // namespace holdfast
