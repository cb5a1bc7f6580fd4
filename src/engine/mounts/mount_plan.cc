#include "engine/mounts/mount_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace holdfast {
namespace {

constexpr std::array kTypeNames = {std::pair{MountType::kBind, std::string_view("bind")},
                                   std::pair{MountType::kVolume, std::string_view("volume")},
                                   std::pair{MountType::kTmpfs, std::string_view("tmpfs")},
                                   std::pair{MountType::kImage, std::string_view("image")}};

// The options of -v, each in its group; at most one of a group may be given.
struct BindOption {
  std::string_view name;
  std::string_view group;
};
constexpr BindOption kBindOptions[] = {
    {"ro", "write"},
    {"rw", "write"},
    {"rro", "write"},
    {"z", "label"},
    {"Z", "label"},
    {"nocopy", "copy"},
    {"copy", "copy"},
    {"private", "propagation"},
    {"rprivate", "propagation"},
    {"shared", "propagation"},
    {"rshared", "propagation"},
    {"slave", "propagation"},
    {"rslave", "propagation"},
    {"cached", "consistency"},
    {"delegated", "consistency"},
    {"consistent", "consistency"},
    {"default", "consistency"},
    {"bind", "recursion"},
    {"rbind", "recursion"},
    {"exec", "exec"},
    {"noexec", "exec"},
    {"suid", "suid"},
    {"nosuid", "suid"},
    {"dev", "dev"},
    {"nodev", "dev"},
    {"nocreate", "create"},
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    auto position = text.find(separator);
    parts.emplace_back(text.substr(0, position));
    if (position == std::string_view::npos) return parts;
    text.remove_prefix(position + 1);
  }
}

tl::unexpected<Error> invalid_spec(const std::string& spec) {
  return fail(Code::kInvalidArgument, "invalid volume specification: '{}'", spec);
}

tl::unexpected<Error> invalid_config(std::string_view type, std::string_view why) {
  return fail(Code::kInvalidArgument, "invalid mount config for type \"{}\": {}", type, why);
}

Status check_target(std::string_view type, const std::string& target) {
  if (target.empty()) return invalid_config(type, "field Target must not be empty");
  if (target.find('\0') != std::string::npos) return invalid_config(type, "the target holds a NUL");
  if (target.front() != '/') {
    return invalid_config(
        type, fmt::format("invalid mount path: '{}' mount path must be absolute", target));
  }
  if (clean_path(target) == "/") {
    return invalid_config(type, "invalid specification: destination can't be '/'");
  }
  return {};
}

// Sets what the options of one -v say; kInvalidArgument "invalid mode: …" for an unknown one, two
// of one group, or an empty one.
Status apply_options(const std::string& options, MountPoint& mount) {
  std::set<std::string_view> groups;
  for (const auto& option : split(options, ',')) {
    auto known = std::find_if(std::begin(kBindOptions), std::end(kBindOptions),
                              [&](const BindOption& entry) { return entry.name == option; });
    if (known == std::end(kBindOptions) || !groups.insert(known->group).second) {
      return fail(Code::kInvalidArgument, "invalid mode: {}", options);
    }
    if (option == "ro" || option == "rro") mount.read_only = true;
    if (option == "rro") mount.reach = ReadOnlyReach::kForced;
    if (option == "nocopy") mount.copy_image_data = false;
    if (option == "noexec") mount.no_exec = true;
    if (option == "nosuid") mount.no_suid = true;
    if (option == "nodev") mount.no_dev = true;
    if (option == "bind") mount.recursive = false;
    if (option == "nocreate") mount.create_source = false;
    if (known->group == "propagation") mount.propagation = option;
  }
  mount.mode = options;
  return {};
}

bool is_absolute(std::string_view path) { return path.starts_with('/'); }

}  // namespace

std::string_view to_string(MountType type) {
  for (const auto& [known, name] : kTypeNames) {
    if (known == type) return name;
  }
  return "";
}

std::string clean_path(std::string_view path) {
  std::vector<std::string> kept;
  for (auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!kept.empty()) kept.pop_back();
    } else {
      kept.push_back(std::move(part));
    }
  }
  std::string result;
  for (const auto& part : kept) result += "/" + part;
  return result.empty() ? "/" : result;
}

Result<MountPoint> parse_bind_spec(const std::string& spec, const std::string& volume_driver) {
  auto parts = split(spec, ':');
  if (spec.empty() || parts.size() > 3 || parts[0].empty() ||
      spec.find('\0') != std::string::npos) {
    return invalid_spec(spec);
  }
  MountPoint mount;
  if (parts.size() == 1) {
    mount.target = parts[0];
  } else {
    mount.source = parts[0];
    mount.target = parts[1];
    mount.type = is_absolute(mount.source) ? MountType::kBind : MountType::kVolume;
  }
  mount.copy_image_data = mount.type == MountType::kVolume;
  mount.create_source = mount.type == MountType::kBind;
  mount.anonymous = mount.source.empty();
  if (mount.type == MountType::kVolume) mount.driver = volume_driver;
  auto wrapped = [&](Status status) -> Status {
    if (status) return status;
    return tl::unexpected(
        std::move(status).error().wrap(fmt::format("invalid volume specification: '{}'", spec)));
  };
  RETURN_IF_ERROR(wrapped(check_target(to_string(mount.type), mount.target)));
  mount.target = clean_path(mount.target);
  if (parts.size() == 3) RETURN_IF_ERROR(apply_options(parts[2], mount));
  if (mount.type == MountType::kBind) {
    mount.source = clean_path(mount.source);
    if (mount.propagation.empty()) mount.propagation = "rprivate";
    mount.copy_image_data = false;
  } else if (!mount.propagation.empty()) {
    return tl::unexpected(
        wrapped(invalid_config("volume", "field BindOptions must not be specified")).error());
  }
  return mount;
}

namespace {

Status parse_bind_options(const json::Object& options, MountPoint& mount) {
  ASSIGN_OR_RETURN(mount.propagation, json::get_string(options, "Propagation"));
  static const std::set<std::string> kPropagations = {"",        "private", "rprivate", "shared",
                                                      "rshared", "slave",   "rslave"};
  if (!kPropagations.contains(mount.propagation)) {
    return invalid_config("bind", fmt::format("invalid propagation mode: {}", mount.propagation));
  }
  ASSIGN_OR_RETURN(bool non_recursive, json::get_bool(options, "NonRecursive"));
  ASSIGN_OR_RETURN(bool top_only, json::get_bool(options, "ReadOnlyNonRecursive"));
  ASSIGN_OR_RETURN(bool forced, json::get_bool(options, "ReadOnlyForceRecursive"));
  ASSIGN_OR_RETURN(mount.create_source, json::get_bool(options, "CreateMountpoint"));
  mount.recursive = !non_recursive;
  if (top_only && forced) {
    return invalid_config(
        "bind", "ReadOnlyNonRecursive and ReadOnlyForceRecursive must not be specified together");
  }
  if ((top_only || forced) && !mount.read_only) {
    return invalid_config("bind",
                          fmt::format("{} must not be specified without ReadOnly",
                                      forced ? "ReadOnlyForceRecursive" : "ReadOnlyNonRecursive"));
  }
  if (forced && !mount.propagation.empty() && mount.propagation != "rprivate") {
    return invalid_config("bind", "ReadOnlyForceRecursive needs the propagation rprivate");
  }
  if (forced) mount.reach = ReadOnlyReach::kForced;
  if (top_only) mount.reach = ReadOnlyReach::kTopOnly;
  return {};
}

Status parse_volume_options(const json::Object& options, MountPoint& mount) {
  ASSIGN_OR_RETURN(bool no_copy, json::get_bool(options, "NoCopy"));
  mount.copy_image_data = !no_copy;
  ASSIGN_OR_RETURN(mount.volume_labels, json::get_string_map(options, "Labels"));
  ASSIGN_OR_RETURN(auto driver, json::get_object(options, "DriverConfig"));
  ASSIGN_OR_RETURN(mount.driver, json::get_string(driver, "Name"));
  ASSIGN_OR_RETURN(mount.volume_options, json::get_string_map(driver, "Options"));
  ASSIGN_OR_RETURN(mount.subpath, json::get_string(options, "Subpath"));
  if (!mount.subpath.empty()) {
    if (mount.anonymous)
      return invalid_config("volume", "must not set Subpath when using anonymous volumes");
    if (is_absolute(mount.subpath))
      return invalid_config("volume", "subpath must be a relative path within the volume");
    for (const auto& part : split(mount.subpath, '/')) {
      if (part == "..") return invalid_config("volume", "subpath must not contain \"..\"");
    }
  }
  return {};
}

Status parse_tmpfs_options(const json::Object& options, MountPoint& mount) {
  ASSIGN_OR_RETURN(auto size, json::get_int(options, "SizeBytes"));
  ASSIGN_OR_RETURN(auto mode, json::get_int(options, "Mode"));
  ASSIGN_OR_RETURN(auto extra, json::get_array(options, "Options"));
  std::vector<std::string> parts;
  if (size < 0) return invalid_config("tmpfs", "the size must not be negative");
  if (mode < 0 || mode > 07777)
    return invalid_config("tmpfs", fmt::format("invalid mode {:o}", mode));
  if (mode != 0) parts.push_back(fmt::format("mode={:o}", mode));
  if (size != 0) parts.push_back(fmt::format("size={}", size));
  for (const auto& option : extra) {
    if (!option.is_array() || option.get_array().empty() || option.get_array().size() > 2) {
      return invalid_config("tmpfs", "each of Options is a key, or a key and a value");
    }
    std::string text;
    for (const auto& word : option.get_array()) {
      if (!word.is_string()) return invalid_config("tmpfs", "Options are strings");
      std::string_view piece(word.get_string());
      if (piece.find_first_of(",\0") != std::string_view::npos) {
        return invalid_config("tmpfs", fmt::format("invalid option \"{}\"", piece));
      }
      text += (text.empty() ? "" : "=") + std::string(piece);
    }
    parts.push_back(text);
  }
  mount.tmpfs_options = fmt::format("{}", fmt::join(parts, ","));
  return {};
}

// Options of another type than the mount's own are refused by the name of their field.
Status refuse_foreign_options(const json::Object& spec, std::string_view type,
                              std::string_view own) {
  for (const char* field : {"BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions"}) {
    if (field != own && json::find(spec, field)) {
      return invalid_config(type, fmt::format("field {} must not be specified", field));
    }
  }
  return {};
}

Status parse_mount_of_type(const json::Object& spec, const std::string& type, MountPoint& mount) {
  if (type == "bind") {
    mount.type = MountType::kBind;
    RETURN_IF_ERROR(refuse_foreign_options(spec, type, "BindOptions"));
    if (mount.source.empty()) return invalid_config(type, "field Source must not be empty");
    if (!is_absolute(mount.source)) {
      return invalid_config(
          type, fmt::format("invalid mount path: '{}' mount path must be absolute", mount.source));
    }
    mount.source = clean_path(mount.source);
    RETURN_IF_ERROR(parse_bind_options(json::object_or_empty(spec, "BindOptions"), mount));
    if (mount.propagation.empty()) mount.propagation = "rprivate";
    return {};
  }
  if (type == "volume") {
    mount.type = MountType::kVolume;
    mount.anonymous = mount.source.empty();
    RETURN_IF_ERROR(refuse_foreign_options(spec, type, "VolumeOptions"));
    return parse_volume_options(json::object_or_empty(spec, "VolumeOptions"), mount);
  }
  if (type == "tmpfs") {
    mount.type = MountType::kTmpfs;
    RETURN_IF_ERROR(refuse_foreign_options(spec, type, "TmpfsOptions"));
    if (!mount.source.empty()) return invalid_config(type, "field Source must not be specified");
    RETURN_IF_ERROR(parse_tmpfs_options(json::object_or_empty(spec, "TmpfsOptions"), mount));
    if (mount.read_only) mount.tmpfs_options += mount.tmpfs_options.empty() ? "ro" : ",ro";
    return {};
  }
  if (type == "image") {
    mount.type = MountType::kImage;
    mount.read_only = true;
    RETURN_IF_ERROR(refuse_foreign_options(spec, type, "ImageOptions"));
    if (mount.source.empty()) return invalid_config(type, "field Source must not be empty");
    ASSIGN_OR_RETURN(mount.subpath,
                     json::get_string(json::object_or_empty(spec, "ImageOptions"), "Subpath"));
    return {};
  }
  return invalid_config(type, "mount type unknown");
}

Result<MountPoint> parse_mount(const json::Value& value) {
  if (!value.is_object())
    return fail(Code::kInvalidArgument, "json: cannot unmarshal Mounts: not an object");
  const auto& spec = value.get_object();
  MountPoint mount;
  ASSIGN_OR_RETURN(auto type, json::get_string(spec, "Type"));
  ASSIGN_OR_RETURN(mount.target, json::get_string(spec, "Target"));
  ASSIGN_OR_RETURN(mount.source, json::get_string(spec, "Source"));
  ASSIGN_OR_RETURN(mount.read_only, json::get_bool(spec, "ReadOnly"));
  if (mount.source.find('\0') != std::string::npos)
    return invalid_config(type, "the source holds a NUL");
  RETURN_IF_ERROR(check_target(type, mount.target));
  mount.target = clean_path(mount.target);
  RETURN_IF_ERROR(parse_mount_of_type(spec, type, mount));
  return mount;
}

// The list under construction: by target, so that a duplicate is seen whatever field it comes from.
class Plan {
 public:
  Status add(MountPoint mount) {
    auto [existing, added] = mounts_.try_emplace(mount.target, mount);
    if (!added && !inherited_.contains(mount.target)) {
      return fail(Code::kInvalidArgument, "Duplicate mount point: {}", mount.target);
    }
    inherited_.erase(mount.target);
    existing->second = std::move(mount);
    return {};
  }
  void inherit(MountPoint mount) {
    inherited_.insert(mount.target);
    mounts_.insert_or_assign(mount.target, std::move(mount));
  }
  void add_if_absent(MountPoint mount) { mounts_.try_emplace(mount.target, std::move(mount)); }

  // Parents before what lies below them.
  std::vector<MountPoint> ordered() const {
    std::vector<MountPoint> list;
    for (const auto& [target, mount] : mounts_) list.push_back(mount);
    auto depth = [](const MountPoint& mount) {
      return std::count(mount.target.begin(), mount.target.end(), '/');
    };
    std::stable_sort(list.begin(), list.end(),
                     [&](const MountPoint& a, const MountPoint& b) { return depth(a) < depth(b); });
    return list;
  }

 private:
  std::map<std::string, MountPoint> mounts_;
  std::set<std::string>
      inherited_;  // targets that came by VolumesFrom, which anything else may override
};

Status add_volumes_from(const json::Object& host_config, const MountsOfContainer& mounts_of,
                        Plan& plan) {
  for (const auto& entry : json::strings_or_empty(host_config, "VolumesFrom")) {
    auto colon = entry.find(':');
    std::string mode = colon == std::string::npos ? "" : entry.substr(colon + 1);
    if (entry.empty() || colon == 0) {
      return fail(Code::kInvalidArgument, "invalid volumes-from specification: '{}'", entry);
    }
    if (!mode.empty() && mode != "ro" && mode != "rw" && mode != "z" && mode != "Z") {
      return fail(Code::kInvalidArgument, "invalid mode for volumes-from: {}", mode);
    }
    ASSIGN_OR_RETURN(auto mounts, mounts_of(entry.substr(0, colon)));
    for (auto& mount : mounts) {
      if (mount.type == MountType::kTmpfs) continue;
      if (mode == "ro") mount.read_only = true;
      if (!mode.empty()) mount.mode = mode;
      mount.copy_image_data = false;
      mount.create_source = false;
      plan.inherit(std::move(mount));
    }
  }
  return {};
}

Status add_tmpfs(const json::Object& host_config, Plan& plan) {
  for (const auto& [target, options] : json::string_map_or_empty(host_config, "Tmpfs")) {
    RETURN_IF_ERROR(check_target("tmpfs", target));
    MountPoint mount;
    mount.type = MountType::kTmpfs;
    mount.target = clean_path(target);
    mount.tmpfs_options = options;
    RETURN_IF_ERROR(plan.add(std::move(mount)));
  }
  return {};
}

// Volumes of the config, the image's among them: anonymous ones at a bare path.
Status add_config_volumes(const json::Object& config, const std::string& driver, Plan& plan) {
  for (const auto& [target, ignored] : json::object_or_empty(config, "Volumes")) {
    MountPoint mount;
    mount.target = std::string(target);
    RETURN_IF_ERROR(check_target("volume", mount.target));
    mount.target = clean_path(mount.target);
    mount.driver = driver;
    mount.anonymous = true;
    mount.copy_image_data = true;
    plan.add_if_absent(std::move(mount));
  }
  return {};
}

}  // namespace

Result<std::vector<MountPoint>> plan_mounts(const json::Object& config,
                                            const json::Object& host_config,
                                            const MountsOfContainer& mounts_of) {
  Plan plan;
  std::string driver = json::string_or(host_config, "VolumeDriver");
  RETURN_IF_ERROR(add_volumes_from(host_config, mounts_of, plan));
  for (const auto& spec : json::strings_or_empty(host_config, "Binds")) {
    ASSIGN_OR_RETURN(auto mount, parse_bind_spec(spec, driver));
    RETURN_IF_ERROR(plan.add(std::move(mount)));
  }
  for (const auto& value : json::array_or_empty(host_config, "Mounts")) {
    ASSIGN_OR_RETURN(auto mount, parse_mount(value));
    if (mount.type == MountType::kVolume && mount.driver.empty()) mount.driver = driver;
    RETURN_IF_ERROR(plan.add(std::move(mount)));
  }
  RETURN_IF_ERROR(add_tmpfs(host_config, plan));
  RETURN_IF_ERROR(add_config_volumes(config, driver, plan));
  return plan.ordered();
}

json::Object to_json(const MountPoint& mount) {
  return json::Object{{"Type", to_string(mount.type)},
                      {"Target", mount.target},
                      {"Source", mount.source},
                      {"Driver", mount.driver},
                      {"Mode", mount.mode},
                      {"Propagation", mount.propagation},
                      {"ReadOnly", mount.read_only},
                      {"Reach", static_cast<int>(mount.reach)},
                      {"Recursive", mount.recursive},
                      {"CreateSource", mount.create_source},
                      {"CopyImageData", mount.copy_image_data},
                      {"Anonymous", mount.anonymous},
                      {"NoExec", mount.no_exec},
                      {"NoSuid", mount.no_suid},
                      {"NoDev", mount.no_dev},
                      {"Subpath", mount.subpath},
                      {"TmpfsOptions", mount.tmpfs_options},
                      {"VolumeLabels", json::from_string_map(mount.volume_labels)},
                      {"VolumeOptions", json::from_string_map(mount.volume_options)}};
}

MountPoint mount_from_json(const json::Object& json) {
  MountPoint mount;
  std::string type = json::string_or(json, "Type");
  for (const auto& [known, name] : kTypeNames) {
    if (name == type) mount.type = known;
  }
  mount.target = json::string_or(json, "Target");
  mount.source = json::string_or(json, "Source");
  mount.driver = json::string_or(json, "Driver");
  mount.mode = json::string_or(json, "Mode");
  mount.propagation = json::string_or(json, "Propagation");
  mount.read_only = json::bool_or(json, "ReadOnly");
  mount.reach = static_cast<ReadOnlyReach>(json::int_or(json, "Reach"));
  mount.recursive = json::bool_or(json, "Recursive", true);
  mount.create_source = json::bool_or(json, "CreateSource");
  mount.copy_image_data = json::bool_or(json, "CopyImageData");
  mount.anonymous = json::bool_or(json, "Anonymous");
  mount.no_exec = json::bool_or(json, "NoExec");
  mount.no_suid = json::bool_or(json, "NoSuid");
  mount.no_dev = json::bool_or(json, "NoDev");
  mount.subpath = json::string_or(json, "Subpath");
  mount.tmpfs_options = json::string_or(json, "TmpfsOptions");
  mount.volume_labels = json::string_map_or_empty(json, "VolumeLabels");
  mount.volume_options = json::string_map_or_empty(json, "VolumeOptions");
  return mount;
}

}  // namespace holdfast
