#include "engine/mounts/mount_point.h"

#include <algorithm>
#include <array>

namespace holdfast {
namespace {

constexpr std::array kTypeNames = {std::pair{MountType::kBind, std::string_view("bind")},
                                   std::pair{MountType::kVolume, std::string_view("volume")},
                                   std::pair{MountType::kTmpfs, std::string_view("tmpfs")},
                                   std::pair{MountType::kImage, std::string_view("image")},
                                   std::pair{MountType::kRamfs, std::string_view("ramfs")},
                                   std::pair{MountType::kDevpts, std::string_view("devpts")},
                                   std::pair{MountType::kGlob, std::string_view("glob")}};

json::Value from_flag(const std::optional<bool>& flag) {
  return flag ? json::Value(*flag) : json::Value();
}

std::optional<bool> flag_of(const json::Object& json, std::string_view key) {
  const auto* value = json::find(json, key);
  return value && value->is_bool() ? std::optional(value->get_bool()) : std::nullopt;
}

json::Array from_ranges(const std::vector<IdRange>& ranges) {
  json::Array out;
  for (const auto& range : ranges)
    out.push_back(json::Array{range.inside, range.outside, range.count});
  return out;
}

std::vector<IdRange> ranges_of(const json::Object& json, std::string_view key) {
  std::vector<IdRange> ranges;
  for (const auto& value : json::array_or_empty(json, key)) {
    if (!value.is_array() || value.get_array().size() != 3) continue;
    std::array<std::uint32_t, 3> numbers = {};
    boost::system::error_code ignored;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      numbers[i] = value.get_array()[i].to_number<std::uint32_t>(ignored);
    ranges.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return ranges;
}

json::Value from_id_map(const std::optional<IdMapRequest>& request) {
  if (!request) return {};
  return json::Object{{"Uids", from_ranges(request->map.uids)},
                      {"Gids", from_ranges(request->map.gids)},
                      {"Relative", request->relative}};
}

std::optional<IdMapRequest> id_map_of(const json::Object& json) {
  const auto* value = json::find(json, "IdMap");
  if (!value || !value->is_object()) return std::nullopt;
  const auto& object = value->get_object();
  return IdMapRequest{{ranges_of(object, "Uids"), ranges_of(object, "Gids")},
                      json::bool_or(object, "Relative")};
}

json::Value from_overlay(const std::optional<OverlayRequest>& request) {
  if (!request) return {};
  return json::Object{{"Upper", request->upper}, {"Work", request->work}};
}

std::optional<OverlayRequest> overlay_of(const json::Object& json) {
  const auto* value = json::find(json, "Overlay");
  if (!value || !value->is_object()) return std::nullopt;
  return OverlayRequest{json::string_or(value->get_object(), "Upper"),
                        json::string_or(value->get_object(), "Work")};
}

}  // namespace

std::string_view to_string(MountType type) {
  for (const auto& [known, name] : kTypeNames) {
    if (known == type) return name;
  }
  return "";
}

std::optional<MountType> mount_type_of(std::string_view name) {
  for (const auto& [type, known] : kTypeNames) {
    if (known == name) return type;
  }
  return std::nullopt;
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
                      {"Listed", mount.listed},
                      {"NoExec", from_flag(mount.no_exec)},
                      {"NoSuid", from_flag(mount.no_suid)},
                      {"NoDev", from_flag(mount.no_dev)},
                      {"ChangeOwner", mount.change_owner},
                      {"IdMap", from_id_map(mount.id_map)},
                      {"Overlay", from_overlay(mount.overlay)},
                      {"Relabel", static_cast<int>(mount.relabel)},
                      {"Subpath", mount.subpath},
                      {"Options", json::from_strings(mount.options)},
                      {"VolumeLabels", json::from_string_map(mount.volume_labels)},
                      {"VolumeOptions", json::from_string_map(mount.volume_options)}};
}

namespace {

// Records of 0.1 had a tmpfs' options in one string, and false where no option was given.
void take_old_form(const json::Object& json, MountPoint& mount) {
  if (json::find(json, "Options")) return;
  std::string text = json::string_or(json, "TmpfsOptions");
  std::size_t begin = 0;
  while (begin < text.size()) {
    auto end = std::min(text.find(',', begin), text.size());
    if (end > begin) mount.options.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  for (auto* flag : {&mount.no_exec, &mount.no_suid, &mount.no_dev}) {
    if (*flag == false) flag->reset();
  }
}

}  // namespace

MountPoint mount_from_json(const json::Object& json) {
  MountPoint mount;
  mount.type = mount_type_of(json::string_or(json, "Type")).value_or(MountType::kVolume);
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
  mount.listed = json::bool_or(json, "Listed", true);
  mount.no_exec = flag_of(json, "NoExec");
  mount.no_suid = flag_of(json, "NoSuid");
  mount.no_dev = flag_of(json, "NoDev");
  mount.change_owner = json::bool_or(json, "ChangeOwner");
  mount.id_map = id_map_of(json);
  mount.overlay = overlay_of(json);
  mount.relabel = static_cast<Relabel>(json::int_or(json, "Relabel"));
  mount.subpath = json::string_or(json, "Subpath");
  mount.options = json::strings_or_empty(json, "Options");
  mount.volume_labels = json::string_map_or_empty(json, "VolumeLabels");
  mount.volume_options = json::string_map_or_empty(json, "VolumeOptions");
  take_old_form(json, mount);
  return mount;
}

}  // namespace holdfast
