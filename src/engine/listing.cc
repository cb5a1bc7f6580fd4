#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "engine/container_filter.h"
#include "engine/engine_impl.h"
#include "image/reference.h"
#include "storage/copy/tree_size.h"

// Containers as they are listed and inspected, and images where containers matter.
namespace holdfast {
namespace {

std::optional<ContainerSize> size_of(const Engine::Impl& impl, const Container& container) {
  ContainerSize size;
  auto upper = open_file(impl.folders.upper(container.id), O_RDONLY | O_DIRECTORY);
  if (!upper) return std::nullopt;
  auto bytes = tree_size(*upper);
  if (!bytes) return std::nullopt;
  size.writable = static_cast<std::int64_t>(*bytes);
  size.root = size.writable;
  if (auto image = impl.parts.images.get(container.image))
    size.root += static_cast<std::int64_t>(image->size);
  return size;
}

// The name a container was made from while it still means that image, else its short id.
std::string image_name(const Engine::Impl& impl, const Container& container,
                       const ContainerData& data) {
  std::string asked = json::string_or(data.config, "Image");
  auto found = impl.parts.images.resolve(asked);
  if (found && *found == container.image) return asked;
  return container.image.str();
}

// "none", "starting", "healthy" or "unhealthy".
std::string health_of(const Engine::Impl& impl, const Container& container,
                      const ContainerData& data) {
  auto monitor = impl.health.find(container.id);
  return monitor && data.state.running() ? monitor->status() : "none";
}

FilterContext filter_context(const Engine::Impl& impl) {
  FilterContext context;
  context.ancestors = [&impl](const std::string& text) {
    std::vector<ImageId> ids;
    if (auto id = impl.parts.images.resolve(text)) ids.push_back(*id);
    return ids;
  };
  context.health = [&impl](const Container& container, const ContainerData& data) {
    return health_of(impl, container, data);
  };
  context.network = [&impl](const std::string& text) { return impl.parts.networks.find(text); };
  return context;
}

}  // namespace

ContainerFiles Engine::Impl::files_of(const ContainerId& id) const {
  return {folders.folder(id), folders.log(id)};
}

VolumeMountpoint Engine::Impl::volume_mountpoints() const {
  return [this](const std::string& name) {
    auto volume = parts.volumes.get(VolumeName(name));
    return volume ? (*volume)->mountpoint : std::string();
  };
}

std::vector<image::User> Engine::Impl::users_of(const ImageId& id) const {
  std::vector<image::User> users;
  for (const auto& container : table.all()) {
    if (container->image == id) users.push_back({container->id, container->state().running()});
  }
  return users;
}

Result<json::Object> Engine::inspect(const std::string& name, bool size) const {
  ASSIGN_OR_RETURN(auto container, impl_->table.find(name));
  json::Object out = inspect_json(
      *container, impl_->files_of(container->id), impl_->volume_mountpoints(),
      impl_->execs.running_in(container->id), size ? size_of(*impl_, *container) : std::nullopt);
  if (auto monitor = impl_->health.find(container->id))
    out["State"].get_object()["Health"] = monitor->to_json();
  return out;
}

Result<json::Array> Engine::list(const ListOptions& options) const {
  ASSIGN_OR_RETURN(auto filter,
                   ContainerFilter::parse(options.filters, impl_->table, filter_context(*impl_)));
  bool all = options.all || options.limit > 0 || filter.wants_stopped();
  json::Array list;
  for (const auto& container : impl_->table.all()) {
    ContainerData data = container->view();
    bool shown = all || data.state.running() || data.state.status == ContainerStatus::kRestarting;
    if (!shown || !filter.matches(*container, data)) continue;
    json::Object summary =
        summary_json(*container, image_name(*impl_, *container, data), impl_->volume_mountpoints(),
                     options.size ? size_of(*impl_, *container) : std::nullopt);
    std::string health = health_of(*impl_, *container, data);
    if (health != "none" && data.state.status == ContainerStatus::kRunning) {
      summary["Status"] = fmt::format("{} ({})", json::string_or(summary, "Status"),
                                      health == "starting" ? "health: starting" : health);
    }
    list.push_back(std::move(summary));
    if (options.limit > 0 && list.size() >= options.limit) break;
  }
  return list;
}

Result<json::Object> Engine::top(const std::string& name, const std::string& ps_arguments) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto state = container->state();
  if (!state.running()) return fail(Code::kConflict, "container {} is not running", container->id);
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < ps_arguments.size();) {
    auto end = std::min(ps_arguments.find(' ', begin), ps_arguments.size());
    if (end > begin) words.push_back(ps_arguments.substr(begin, end - begin));
    begin = end + 1;
  }
  ASSIGN_OR_RETURN(auto processes, impl.parts.runtime.top(container->id, words));
  json::Array rows;
  for (const auto& row : processes.processes) rows.push_back(json::from_strings(row));
  impl.publish(*container, "top");
  return json::Object{{"Titles", json::from_strings(processes.titles)},
                      {"Processes", std::move(rows)}};
}

Result<json::Array> Engine::list_images(const FilterMap& filters, bool all) const {
  ASSIGN_OR_RETURN(auto list, impl_->parts.images.list(filters, all));
  std::map<std::string, int> counts;
  for (const auto& container : impl_->table.all()) ++counts[container->image.str()];
  for (auto& image : list) {
    auto& object = image.get_object();
    auto count = counts.find(json::string_or(object, "Id"));
    object["Containers"] = count == counts.end() ? 0 : count->second;
  }
  return list;
}

Result<json::Array> Engine::remove_image(const std::string& name,
                                         const image::RemoveOptions& options) {
  ASSIGN_OR_RETURN(auto removed,
                   impl_->parts.images.remove(
                       name, options, [this](const ImageId& id) { return impl_->users_of(id); }));
  return image::to_json(removed);
}

Result<json::Object> Engine::prune_images(const FilterMap& filters) {
  ASSIGN_OR_RETURN(auto pruned, impl_->parts.images.prune(filters, [this](const ImageId& id) {
    return impl_->users_of(id);
  }));
  events().publish("image", "prune", "", {{"reclaimed", std::to_string(pruned.space_reclaimed)}});
  json::Array removed = image::to_json(pruned.removed);
  return json::Object{
      {"ImagesDeleted", removed.empty() ? json::Value() : json::Value(std::move(removed))},
      {"SpaceReclaimed", pruned.space_reclaimed}};
}

image::Images& Engine::images() { return impl_->parts.images; }

}  // namespace holdfast
