#include "engine/engine_impl.h"

namespace holdfast {

void Engine::Impl::publish(const Container& container, const std::string& action,
                           std::map<std::string, std::string> more) {
  ContainerData data = container.view();
  auto attributes = json::string_map_or_empty(data.config, "Labels");
  attributes.merge(more);
  attributes["image"] = json::string_or(data.config, "Image");
  attributes["name"] = data.name;
  events.publish("container", action, container.id.str(), std::move(attributes));
}

void Engine::Impl::publish_network(const Endpoint& endpoint, const ContainerId& container,
                                   const std::string& action) {
  events.publish("network", action, endpoint.network_id.str(),
                 {{"container", container.str()},
                  {"name", endpoint.network_name},
                  {"type", endpoint.network_name == "host" || endpoint.network_name == "none"
                               ? endpoint.network_name
                               : "bridge"}});
}

void Engine::Impl::publish_volume(const std::string& action, const VolumeName& name,
                                  std::map<std::string, std::string> more) {
  events.publish("volume", action, name.str(), std::move(more));
}

}  // namespace holdfast
