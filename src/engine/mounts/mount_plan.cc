#include "engine/mounts/mount_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "engine/mounts/made_mount_options.h"
#include "engine/mounts/mount_words.h"
#include "engine/mounts/protected_paths.h"

namespace holdfast {
namespace {

constexpr std::size_t kLongestPath = 4095;  // PATH_MAX without its NUL
constexpr std::size_t kLongestName = 255;   // NAME_MAX
constexpr std::string_view kDefaultPropagation = "rprivate";
// What Docker shows as the mode of a volume that was named without one.
constexpr std::string_view kShownMode = "z";

tl::unexpected<Error> invalid_spec(const std::string& spec) {
  return fail(Code::kInvalidArgument, "invalid volume specification: '{}'", spec);
}

bool is_absolute(std::string_view path) { return path.starts_with('/'); }

bool too_long(const std::string& path) {
  if (path.size() > kLongestPath) return true;
  auto names = split(path, '/');
  return std::any_of(names.begin(), names.end(),
                     [](const std::string& name) { return name.size() > kLongestName; });
}

// Docker's order of questions, and words. The reason alone: who calls says whose target it is.
Status check_target(const std::string& target) {
  if (target.empty()) return fail(Code::kInvalidArgument, "field Target must not be empty");
  if (target.find('\0') != std::string::npos)
    return fail(Code::kInvalidArgument, "the target holds a NUL");
  if (clean_path(target) == "/" && is_absolute(target))
    return fail(Code::kInvalidArgument, "invalid specification: destination can't be '/'");
  if (!is_absolute(target))
    return fail(Code::kInvalidArgument, "invalid mount path: '{}' mount path must be absolute",
                target);
  if (too_long(target))
    return fail(Code::kInvalidArgument, "the target \"{}…\" is too long", target.substr(0, 64));
  return {};
}

Status set_target(std::string_view type, const std::string& target, MountPoint& mount) {
  auto checked = check_target(target);
  if (!checked) return invalid_mount_config(type, checked.error().message);
  mount.target = clean_path(target);
  auto allowed = check_mount_target(mount);
  if (!allowed) return invalid_mount_config(type, allowed.error().message);
  return {};
}

}  // namespace

tl::unexpected<Error> invalid_mount_config(std::string_view type, std::string_view why) {
  return fail(Code::kInvalidArgument, "invalid mount config for type \"{}\": {}", type, why);
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

void order_by_depth(std::vector<MountPoint>& mounts) {
  auto depth = [](const MountPoint& mount) {
    return std::count(mount.target.begin(), mount.target.end(), '/');
  };
  std::stable_sort(mounts.begin(), mounts.end(),
                   [&](const MountPoint& a, const MountPoint& b) { return depth(a) < depth(b); });
}

// --- Binds: the specifications of -v ---

namespace {

bool is_mode(const std::string& text) {
  for (auto type : {MountType::kBind, MountType::kVolume}) {
    MountPoint mount;
    mount.type = type;
    if (apply_mount_words(split(text, ','), mount)) return true;
  }
  return false;
}

bool has_propagation(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.ends_with("private") || word.ends_with("shared") || word.ends_with("slave");
  });
}

// Options that belong to the other kind of source, in Docker's words.
Status refuse_foreign_words(const std::vector<std::string>& words, const MountPoint& mount) {
  bool bind = mount.type == MountType::kBind;
  if (bind && std::find(words.begin(), words.end(), "nocopy") != words.end())
    return invalid_mount_config("bind", "field VolumeOptions must not be specified");
  if (!bind && has_propagation(words))
    return invalid_mount_config("volume", "field BindOptions must not be specified");
  return {};
}

Status set_source_and_target(const std::vector<std::string>& parts, const std::string& driver,
                             MountPoint& mount) {
  mount.source = parts.size() == 1 ? "" : parts[0];
  mount.type = is_absolute(mount.source) ? MountType::kBind : MountType::kVolume;
  mount.create_source = true;
  mount.anonymous = mount.source.empty();
  if (mount.type == MountType::kVolume) {
    mount.copy_image_data = true;
    mount.driver = driver;
    if (mount.mode.empty() && !mount.anonymous) mount.mode = kShownMode;
  } else {
    mount.propagation = kDefaultPropagation;
    mount.source = clean_path(mount.source);
    if (too_long(mount.source))
      return invalid_mount_config("bind",
                                  "the source \"" + mount.source.substr(0, 64) + "…\" is too long");
  }
  return set_target(to_string(mount.type), parts[parts.size() == 1 ? 0 : 1], mount);
}

}  // namespace

Result<MountPoint> parse_bind_spec(const std::string& spec, const std::string& volume_driver) {
  auto parts = split(spec, ':');
  if (spec.empty() || parts.size() > 3 || parts[0].empty() || spec.find('\0') != std::string::npos)
    return invalid_spec(spec);
  // A mode where the target should be: "/d:ro".
  if (parts.size() == 2 && is_mode(parts[1])) return invalid_spec(spec);
  MountPoint mount;
  std::vector<std::string> words;
  if (parts.size() == 3) {
    words = split(parts[2], ',');
    mount.mode = parts[2];
  }
  auto status = set_source_and_target(parts, volume_driver, mount);
  if (status) status = refuse_foreign_words(words, mount);
  if (!status)
    return tl::unexpected(
        std::move(status).error().wrap(fmt::format("invalid volume specification: '{}'", spec)));
  auto understood = apply_mount_words(words, mount);
  if (!understood)
    return fail(Code::kInvalidArgument, "invalid mode: {}: {}", mount.mode,
                understood.error().message);
  return mount;
}

// --- Mounts: the objects of --mount ---

namespace {

Status parse_read_only_reach(const json::Object& options, MountPoint& mount) {
  ASSIGN_OR_RETURN(bool top_only, json::get_bool(options, "ReadOnlyNonRecursive"));
  ASSIGN_OR_RETURN(bool forced, json::get_bool(options, "ReadOnlyForceRecursive"));
  if (top_only && forced)
    return invalid_mount_config(
        "bind", "ReadOnlyNonRecursive and ReadOnlyForceRecursive must not be specified together");
  if ((top_only || forced) && !mount.read_only)
    return invalid_mount_config(
        "bind", fmt::format("{} must not be specified without ReadOnly",
                            forced ? "ReadOnlyForceRecursive" : "ReadOnlyNonRecursive"));
  if (forced && !mount.propagation.empty() && mount.propagation != kDefaultPropagation)
    return invalid_mount_config("bind", "ReadOnlyForceRecursive needs the propagation rprivate");
  if (forced) mount.reach = ReadOnlyReach::kForced;
  if (top_only) mount.reach = ReadOnlyReach::kTopOnly;
  return {};
}

Status parse_bind_options(const json::Object& options, MountPoint& mount) {
  ASSIGN_OR_RETURN(mount.propagation, json::get_string(options, "Propagation"));
  static const std::set<std::string> kPropagations = {"",       "private",    "rprivate",
                                                      "shared", "rshared",    "slave",
                                                      "rslave", "unbindable", "runbindable"};
  if (!kPropagations.contains(mount.propagation))
    return invalid_mount_config("bind",
                                fmt::format("invalid propagation mode: {}", mount.propagation));
  ASSIGN_OR_RETURN(bool non_recursive, json::get_bool(options, "NonRecursive"));
  ASSIGN_OR_RETURN(mount.create_source, json::get_bool(options, "CreateMountpoint"));
  mount.recursive = !non_recursive;
  return parse_read_only_reach(options, mount);
}

Status parse_bind(const json::Object& spec, std::string_view type, MountPoint& mount) {
  if (mount.source.empty()) return invalid_mount_config(type, "field Source must not be empty");
  if (!is_absolute(mount.source))
    return invalid_mount_config(
        type, fmt::format("invalid mount path: '{}' mount path must be absolute", mount.source));
  if (too_long(mount.source))
    return invalid_mount_config(
        type, fmt::format("the source \"{}…\" is too long", mount.source.substr(0, 64)));
  // A pattern is not a path yet.
  if (mount.type == MountType::kBind) mount.source = clean_path(mount.source);
  return parse_bind_options(json::object_or_empty(spec, "BindOptions"), mount);
}

// A sub-path lies below its volume or image whatever is in there; this much its text tells.
Status check_subpath(std::string_view type, const MountPoint& mount) {
  if (mount.subpath.empty()) return {};
  if (mount.anonymous)
    return invalid_mount_config(type, "must not set Subpath when using anonymous volumes");
  auto names = split(mount.subpath, '/');
  if (is_absolute(mount.subpath) || mount.subpath.find('\0') != std::string::npos ||
      std::find(names.begin(), names.end(), "..") != names.end())
    return invalid_mount_config(type,
                                fmt::format("subpath must be a relative path within the {}", type));
  if (too_long(mount.subpath)) return invalid_mount_config(type, "the subpath is too long");
  return {};
}

Status parse_volume(const json::Object& spec, MountPoint& mount) {
  mount.anonymous = mount.source.empty();
  mount.create_source = true;
  const auto& options = json::object_or_empty(spec, "VolumeOptions");
  ASSIGN_OR_RETURN(bool no_copy, json::get_bool(options, "NoCopy"));
  mount.copy_image_data = !no_copy;
  ASSIGN_OR_RETURN(mount.volume_labels, json::get_string_map(options, "Labels"));
  ASSIGN_OR_RETURN(auto driver, json::get_object(options, "DriverConfig"));
  ASSIGN_OR_RETURN(mount.driver, json::get_string(driver, "Name"));
  ASSIGN_OR_RETURN(mount.volume_options, json::get_string_map(driver, "Options"));
  ASSIGN_OR_RETURN(mount.subpath, json::get_string(options, "Subpath"));
  if (mount.anonymous && mount.read_only)
    return invalid_mount_config("volume",
                                "must not set ReadOnly mode when using anonymous volumes");
  return check_subpath("volume", mount);
}

// TmpfsOptions of a tmpfs, as words.
Result<std::vector<std::string>> tmpfs_words(const json::Object& options) {
  ASSIGN_OR_RETURN(auto size, json::get_int(options, "SizeBytes"));
  ASSIGN_OR_RETURN(auto mode, json::get_int(options, "Mode"));
  ASSIGN_OR_RETURN(auto extra, json::get_array(options, "Options"));
  std::vector<std::string> words;
  if (size < 0) return fail(Code::kInvalidArgument, "the size must not be negative");
  if (mode < 0 || mode > 07777) return fail(Code::kInvalidArgument, "invalid mode {:o}", mode);
  if (mode != 0) words.push_back(fmt::format("mode={:o}", mode));
  if (size != 0) words.push_back(fmt::format("size={}", size));
  for (const auto& option : extra) {
    if (!option.is_array() || option.get_array().empty() || option.get_array().size() > 2)
      return fail(Code::kInvalidArgument, "invalid option array length");
    std::string word;
    for (const auto& piece : option.get_array()) {
      if (!piece.is_string()) return fail(Code::kInvalidArgument, "Options are strings");
      word += (word.empty() ? "" : "=") + std::string(piece.get_string());
    }
    words.push_back(std::move(word));
  }
  return words;
}

// A file system made for the container alone.
Status parse_made(const json::Object& spec, std::string_view type, std::vector<std::string> words,
                  MountPoint& mount) {
  if (!mount.source.empty())
    return invalid_mount_config(type, "field Source must not be specified");
  bool has_owner = mount.type != MountType::kDevpts;
  mount.change_owner = has_owner && std::erase_if(words, [](const std::string& word) {
                                      return word == "U" || word == "chown";
                                    }) > 0;
  if (mount.type == MountType::kTmpfs) {
    auto own = tmpfs_words(json::object_or_empty(spec, "TmpfsOptions"));
    if (!own) return invalid_mount_config(type, own.error().message);
    words.insert(words.begin(), own->begin(), own->end());
  }
  if (mount.read_only) words.emplace_back("ro");
  auto checked = mount.type == MountType::kTmpfs   ? check_tmpfs_options(words)
                 : mount.type == MountType::kRamfs ? check_ramfs_options(words)
                                                   : check_devpts_options(words);
  if (!checked) return invalid_mount_config(type, checked.error().message);
  mount.options = std::move(*checked);
  mount.read_only =
      std::find(mount.options.begin(), mount.options.end(), "ro") != mount.options.end();
  return {};
}

// Options of another type than the mount's own are refused by the name of their field.
Status refuse_foreign_options(const json::Object& spec, std::string_view type,
                              std::string_view own) {
  for (const char* field : {"BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions"}) {
    if (field != own && json::find(spec, field))
      return invalid_mount_config(type, fmt::format("field {} must not be specified", field));
  }
  return {};
}

std::string_view own_options(MountType type) {
  switch (type) {
    case MountType::kBind:
    case MountType::kGlob:
      return "BindOptions";
    case MountType::kVolume:
      return "VolumeOptions";
    case MountType::kTmpfs:
      return "TmpfsOptions";
    case MountType::kImage:
      return "ImageOptions";
    case MountType::kRamfs:
    case MountType::kDevpts:
      break;
  }
  return "";
}

Status parse_image(const json::Object& spec, MountPoint& mount) {
  mount.read_only = true;
  if (mount.source.empty()) return invalid_mount_config("image", "field Source must not be empty");
  ASSIGN_OR_RETURN(mount.subpath,
                   json::get_string(json::object_or_empty(spec, "ImageOptions"), "Subpath"));
  return check_subpath("image", mount);
}

Status parse_sourced(const json::Object& spec, const std::string& type, MountPoint& mount) {
  if (mount.type == MountType::kVolume) return parse_volume(spec, mount);
  if (mount.type == MountType::kImage) return parse_image(spec, mount);
  return parse_bind(spec, type, mount);
}

Status parse_by_type(const json::Object& spec, const std::string& type, MountPoint& mount) {
  RETURN_IF_ERROR(refuse_foreign_options(spec, type, own_options(mount.type)));
  ASSIGN_OR_RETURN(auto words, json::get_strings(spec, "Options"));
  mount.mode = fmt::format("{}", fmt::join(words, ","));
  bool sourced = mount.has_source() || mount.type == MountType::kGlob;
  if (!sourced) return parse_made(spec, type, std::move(words), mount);
  if (mount.type == MountType::kVolume && words.empty()) mount.mode = kShownMode;
  RETURN_IF_ERROR(parse_sourced(spec, type, mount));
  auto understood = apply_mount_words(words, mount);
  if (!understood) return invalid_mount_config(type, understood.error().message);
  if (mount.type != MountType::kVolume && mount.propagation.empty())
    mount.propagation = kDefaultPropagation;
  return {};
}

Result<MountPoint> parse_mount(const json::Value& value) {
  if (!value.is_object())
    return fail(Code::kInvalidArgument, "json: cannot unmarshal Mounts: not an object");
  const auto& spec = value.get_object();
  MountPoint mount;
  ASSIGN_OR_RETURN(auto type, json::get_string(spec, "Type"));
  ASSIGN_OR_RETURN(auto target, json::get_string(spec, "Target"));
  ASSIGN_OR_RETURN(mount.source, json::get_string(spec, "Source"));
  ASSIGN_OR_RETURN(mount.read_only, json::get_bool(spec, "ReadOnly"));
  if (mount.source.find('\0') != std::string::npos)
    return invalid_mount_config(type, "the source holds a NUL");
  auto known = mount_type_of(type);
  if (known) mount.type = *known;
  // A glob without a target mounts each file where it is on the host.
  bool free_target = known == MountType::kGlob && target.empty();
  if (!free_target) RETURN_IF_ERROR(set_target(type, target, mount));
  if (!known) return invalid_mount_config(type, "mount type unknown");
  RETURN_IF_ERROR(parse_by_type(spec, type, mount));
  return mount;
}

// --- the list ---

// Under construction: by target, so that a duplicate is seen whatever field it comes from.
class Plan {
 public:
  explicit Plan(const PlanContext& context) : context_(context) {}

  Status add(MountPoint mount) {
    if (context_.read_only_top_only && mount.reach == ReadOnlyReach::kWhereKernelCan)
      mount.reach = ReadOnlyReach::kTopOnly;
    if (mount.target.empty()) {
      untargeted_.push_back(std::move(mount));
      return {};
    }
    auto [existing, added] = mounts_.try_emplace(mount.target, mount);
    if (!added && !inherited_.contains(mount.target))
      return fail(Code::kInvalidArgument, "Duplicate mount point: {}", mount.target);
    inherited_.erase(mount.target);
    existing->second = std::move(mount);
    return {};
  }
  void inherit(MountPoint mount) {
    inherited_.insert(mount.target);
    mounts_.insert_or_assign(mount.target, std::move(mount));
  }
  void add_if_absent(MountPoint mount) { mounts_.try_emplace(mount.target, std::move(mount)); }

  std::vector<MountPoint> ordered() const {
    auto list = untargeted_;
    for (const auto& [target, mount] : mounts_) list.push_back(mount);
    order_by_depth(list);
    return list;
  }

 private:
  const PlanContext& context_;
  std::map<std::string, MountPoint> mounts_;
  std::vector<MountPoint> untargeted_;
  // Targets that came by VolumesFrom, which anything else may override.
  std::set<std::string> inherited_;
};

// The mode of a --volumes-from: what a -v may say, but for how the mount spreads and how it is
// filled, which come from the other container.
Result<MountPoint> parse_inherited_mode(const std::string& mode) {
  MountPoint wanted;
  if (mode.empty()) return wanted;
  static const std::set<std::string> kAllowed = {"ro",     "rw",        "z",         "Z",
                                                 "cached", "delegated", "consistent"};
  auto words = split(mode, ',');
  bool allowed = std::all_of(words.begin(), words.end(),
                             [](const std::string& word) { return kAllowed.contains(word); });
  if (!allowed || !apply_mount_words(words, wanted))
    return fail(Code::kInvalidArgument, "invalid mode: {}", mode);
  return wanted;
}

Status add_volumes_from(const json::Object& host_config, Plan& plan, const PlanContext& context) {
  for (const auto& entry : json::strings_or_empty(host_config, "VolumesFrom")) {
    if (entry.empty())
      return fail(Code::kInvalidArgument, "volumes-from specification cannot be an empty string");
    auto colon = entry.find(':');
    std::string name = entry.substr(0, colon);
    if (name.empty()) return fail(Code::kInvalidArgument, "invalid name or ID supplied: \"\"");
    ASSIGN_OR_RETURN(auto wanted, parse_inherited_mode(
                                      colon == std::string::npos ? "" : entry.substr(colon + 1)));
    auto mounts = context.mounts_of(name);
    // Not 404, which tells clients of a create that the image is missing.
    if (!mounts) return fail(Code::kInvalidArgument, "{}", mounts.error().message);
    for (auto& mount : *mounts) {
      if (!mount.has_source()) continue;
      mount.read_only = mount.read_only || wanted.read_only;
      if (wanted.relabel != Relabel::kNone) mount.relabel = wanted.relabel;
      mount.mode.clear();
      mount.change_owner = false;  // the files are the other container's user's
      mount.copy_image_data = false;
      mount.create_source = false;
      plan.inherit(std::move(mount));
    }
  }
  return {};
}

Status add_tmpfs(const json::Object& host_config, Plan& plan) {
  for (const auto& [target, text] : json::string_map_or_empty(host_config, "Tmpfs")) {
    MountPoint mount;
    mount.type = MountType::kTmpfs;
    mount.listed = false;
    RETURN_IF_ERROR(check_target(target));
    RETURN_IF_ERROR(set_target("tmpfs", target, mount));
    ASSIGN_OR_RETURN(mount.options, parse_tmpfs_options(text));
    RETURN_IF_ERROR(plan.add(std::move(mount)));
  }
  return {};
}

// Volumes of the config, the image's among them: anonymous ones at a bare path.
Status add_config_volumes(const json::Object& config, const std::string& driver, Plan& plan) {
  for (const auto& [target, ignored] : json::object_or_empty(config, "Volumes")) {
    MountPoint mount;
    mount.anonymous = true;
    RETURN_IF_ERROR(set_target("volume", std::string(target), mount));
    mount.driver = driver;
    mount.create_source = true;
    mount.copy_image_data = true;
    plan.add_if_absent(std::move(mount));
  }
  return {};
}

}  // namespace

Result<std::vector<MountPoint>> plan_mounts(const json::Object& config,
                                            const json::Object& host_config,
                                            const PlanContext& context) {
  Plan plan(context);
  std::string driver = json::string_or(host_config, "VolumeDriver");
  RETURN_IF_ERROR(add_volumes_from(host_config, plan, context));
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

}  // namespace holdfast
