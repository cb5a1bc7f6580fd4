#include "base/file.h"
#include "engine/engine_impl.h"

#include <fcntl.h>

namespace holdfast {
namespace {

std::map<std::string, std::vector<std::string>> grouped(const FilterMap& filters) {
  std::map<std::string, std::vector<std::string>> result;
  for (const auto& [key, value] : filters) result[key].push_back(value);
  return result;
}

bool on_network(const Endpoint& endpoint, const NetworkId& id, const Networks& networks) {
  if (endpoint.network_id == id) return true;
  auto found = networks.find(endpoint.network);
  return found && *found == id;
}

// Hosts and resolv.conf of a running container after its networks changed, in place: they are bound
// into it.
Status rewrite_files(Engine::Impl& impl, const Container& container, const Attachment& attachment) {
  ContainerData data = container.view();
  ASSIGN_OR_RETURN(auto hosts, impl.parts.networks.hosts(
                                   json::string_or(data.config, "Hostname"),
                                   json::string_or(data.config, "Domainname"), attachment.endpoints,
                                   json::strings_or_empty(data.host_config, "ExtraHosts")));
  std::string resolv =
      impl.parts.networks.resolv_conf({json::strings_or_empty(data.host_config, "Dns"),
                                       json::strings_or_empty(data.host_config, "DnsSearch"),
                                       json::strings_or_empty(data.host_config, "DnsOptions")},
                                      attachment.endpoints);
  for (const auto& [name, text] : {std::pair{"hosts", hosts}, std::pair{"resolv.conf", resolv}}) {
    ASSIGN_OR_RETURN(
        auto fd, open_file(impl.folders.file(container.id, name), O_WRONLY | O_TRUNC | O_NOFOLLOW));
    RETURN_IF_ERROR(write_all(fd, text));
  }
  return {};
}

}  // namespace

Result<json::Object> Engine::create_network(const json::Object& body) {
  ASSIGN_OR_RETURN(auto spec, NetworkSpec::from_json(body));
  ASSIGN_OR_RETURN(auto created, impl_->parts.networks.create(spec));
  events().publish("network", "create", created.id.str(),
                   {{"name", spec.name}, {"type", spec.driver}});
  return json::Object{{"Id", created.id.str()}, {"Warning", created.warning}};
}

Result<json::Array> Engine::list_networks(const FilterMap& filters) const {
  return impl_->parts.networks.list(grouped(filters));
}

Result<json::Object> Engine::inspect_network(const std::string& name) const {
  return impl_->parts.networks.inspect(name);
}

Status Engine::connect_network(const std::string& network, const json::Object& body) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto id, impl.parts.networks.find(network));
  ASSIGN_OR_RETURN(auto name, json::get_string(body, "Container"));
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(auto settings, json::get_object(body, "EndpointConfig"));
  ASSIGN_OR_RETURN(auto network_name, impl.parts.networks.name_of(id));
  ASSIGN_OR_RETURN(auto endpoint, Endpoint::from_json(network_name, settings));
  auto guard = container->slot.acquire();
  ContainerData data = container->view();
  std::string mode = json::string_or(data.host_config, "NetworkMode");
  if (mode == "host" || mode.starts_with("container:")) {
    return fail(Code::kPermissionDenied,
                "cannot connect container to network {}: its network is {}", network_name, mode);
  }
  bool there = std::any_of(
      data.endpoints.begin(), data.endpoints.end(),
      [&](const Endpoint& existing) { return on_network(existing, id, impl.parts.networks); });
  if (there) {
    return fail(Code::kPermissionDenied, "endpoint with name {} already exists in network {}",
                data.name, network_name);
  }
  if (data.state.running()) {
    ASSIGN_OR_RETURN(auto attachment, impl.parts.networks.connect(container->id, endpoint));
    RETURN_IF_ERROR(rewrite_files(impl, *container, attachment));
    container->change([&](ContainerData& changed) { changed.endpoints = attachment.endpoints; });
    for (const auto& given : attachment.endpoints) {
      if (given.network_id == id) impl.publish_network(given, container->id, "connect");
    }
  } else {
    container->change([&](ContainerData& changed) {
      std::erase_if(changed.endpoints,
                    [](const Endpoint& existing) { return existing.network == "none"; });
      changed.endpoints.push_back(endpoint);
    });
  }
  return impl.table.save(*container);
}

Status Engine::disconnect_network(const std::string& network, const json::Object& body) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto id, impl.parts.networks.find(network));
  ASSIGN_OR_RETURN(auto name, json::get_string(body, "Container"));
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  auto guard = container->slot.acquire();
  ContainerData data = container->view();
  auto found = std::find_if(
      data.endpoints.begin(), data.endpoints.end(),
      [&](const Endpoint& existing) { return on_network(existing, id, impl.parts.networks); });
  if (found == data.endpoints.end()) {
    return fail(Code::kPermissionDenied, "container {} is not connected to network {}",
                container->id, network);
  }
  Endpoint ended = *found;
  if (data.state.running()) {
    ASSIGN_OR_RETURN(auto attachment, impl.parts.networks.disconnect(container->id, id.str()));
    RETURN_IF_ERROR(rewrite_files(impl, *container, attachment));
    container->change([&](ContainerData& changed) { changed.endpoints = attachment.endpoints; });
    impl.publish_network(ended, container->id, "disconnect");
  } else {
    container->change([&](ContainerData& changed) {
      std::erase_if(changed.endpoints,
                    [&](const Endpoint& existing) { return existing.network == ended.network; });
    });
  }
  return impl.table.save(*container);
}

Status Engine::remove_network(const std::string& name) {
  ASSIGN_OR_RETURN(auto removed, impl_->parts.networks.remove(name));
  events().publish("network", "destroy", removed.id.str(),
                   {{"name", removed.name}, {"type", removed.driver}});
  return {};
}

Result<json::Object> Engine::prune_networks(const FilterMap& filters) {
  auto& impl = *impl_;
  std::set<NetworkId> used;
  for (const auto& container : impl.table.all()) {
    for (const auto& endpoint : container->view().endpoints) {
      if (auto id = impl.parts.networks.find(endpoint.network)) used.insert(*id);
    }
  }
  ASSIGN_OR_RETURN(auto removed, impl.parts.networks.prune(grouped(filters), used));
  json::Array names;
  for (const auto& network : removed) {
    names.push_back(json::Value(network.name));
    events().publish("network", "destroy", network.id.str(),
                     {{"name", network.name}, {"type", network.driver}});
  }
  events().publish("network", "prune", "", {{"reclaimed", "0"}});
  return json::Object{
      {"NetworksDeleted", names.empty() ? json::Value() : json::Value(std::move(names))}};
}

}  // namespace holdfast
