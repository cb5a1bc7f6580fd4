#include "engine/volume_holders.h"

namespace holdfast {
namespace {

ContainerPtr container_of(const ContainerTable& table, const HolderId& holder) {
  auto found = table.find(holder.str());
  // An id in full is no prefix of another; a name might look like one.
  return found && (*found)->id.str() == holder.str() ? *found : nullptr;
}

json::Array places_json(const ContainerData& data, const VolumeName& volume) {
  json::Array places;
  for (const auto& mount : data.mounts) {
    if (mount.type != MountType::kVolume || mount.source != volume.str()) continue;
    json::Object place{{"Target", mount.target}, {"ReadOnly", mount.read_only}};
    if (!mount.subpath.empty()) place["Subpath"] = mount.subpath;
    places.push_back(std::move(place));
  }
  return places;
}

// "from:/target" of a -v becomes "to:/target".
void rename_in_bind(json::Value& bind, const VolumeName& from, const VolumeName& to) {
  if (!bind.is_string()) return;
  std::string_view text = bind.get_string();
  if (!text.starts_with(from.str()) || !text.substr(from.str().size()).starts_with(':')) return;
  bind = to.str() + std::string(text.substr(from.str().size()));
}

void rename_in_mount(json::Value& mount, const VolumeName& from, const VolumeName& to) {
  if (!mount.is_object()) return;
  auto& object = mount.get_object();
  if (json::string_or(object, "Type") == "volume" &&
      json::string_or(object, "Source") == from.str())
    object["Source"] = to.str();
}

}  // namespace

json::Array holders_json(const ContainerTable& table, const std::vector<HolderId>& holders,
                         const VolumeName& volume) {
  json::Array out;
  for (const auto& holder : holders) {
    json::Object entry{{"ID", holder.str()}};
    if (auto container = container_of(table, holder)) {
      auto data = container->view();
      entry["Name"] = data.name;
      entry["State"] = to_string(data.state.status);
      entry["Mounts"] = places_json(data, volume);
    }
    out.push_back(std::move(entry));
  }
  return out;
}

Error with_holders_named(Error error, const ContainerTable& table,
                         const std::vector<HolderId>& holders) {
  std::string text;
  for (const auto& holder : holders) {
    text += text.empty() ? ": " : ", ";
    auto container = container_of(table, holder);
    text += container ? fmt::format("container \"{}\" ({})", container->name(),
                                    to_string(container->state().status))
                      : "a container being created";
  }
  error.message += text;
  return error;
}

void rename_volume_in(ContainerData& data, const VolumeName& from, const VolumeName& to) {
  for (auto& mount : data.mounts) {
    if (mount.type != MountType::kVolume || mount.source != from.str()) continue;
    mount.source = to.str();
    mount.anonymous = false;
  }
  auto each = [&](std::string_view key, auto rename) {
    auto* list = data.host_config.if_contains(key);
    if (!list || !list->is_array()) return;
    for (auto& item : list->get_array()) rename(item, from, to);
  };
  each("Binds", rename_in_bind);
  each("Mounts", rename_in_mount);
}

}  // namespace holdfast
