#include "network/networks.h"

#include <fmt/ranges.h>
#include <net/if.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "network/container_files.h"
#include "network/networks_impl.h"

namespace holdfast {
namespace {

using Filters = std::map<std::string, std::vector<std::string>>;

constexpr std::size_t kShortId = 12;

std::string bridge_name(const NetworkRecord& record) {
  const std::string chosen = record.option(kOptionName);
  return chosen.empty() ? "br-" + record.id.str().substr(0, kShortId) : chosen;
}

bool valid_interface_name(const std::string& name) {
  return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
         name.find_first_of("/ \t\r\n:%\"'") == std::string::npos;
}

// An IPv6 network for local use (RFC 4193), random as that asks for.
std::string random_v6_subnet() {
  const std::string hex = random_hex(14);
  return fmt::format("fd{}:{}:{}:{}::/64", hex.substr(0, 2), hex.substr(2, 4), hex.substr(6, 4),
                     hex.substr(10, 4));
}

// "key" or "key=value" against labels.
bool has_label(const std::map<std::string, std::string>& labels, const std::string& wanted) {
  const auto equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

Result<bool> parse_bool(const std::string& key, const std::string& text) {
  if (text == "1" || text == "t" || text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "0" || text == "f" || text == "false" || text == "False" || text == "FALSE")
    return false;
  return fail(Code::kInvalidArgument, "invalid filter '{}=[{}]'", key, text);
}

// Whether one filter key lets the network through: any of the values for most, all of them for
// labels.
Result<bool> passes(const std::string& key, const std::vector<std::string>& values,
                    const NetworkRecord& record, bool in_use) {
  const auto any = [&](auto matches) { return std::any_of(values.begin(), values.end(), matches); };
  if (values.empty()) return true;
  if (key == "name")
    return any([&](auto& value) { return record.spec.name.find(value) != std::string::npos; });
  if (key == "id") return any([&](auto& value) { return record.id.str().starts_with(value); });
  if (key == "driver") return any([&](auto& value) { return record.spec.driver == value; });
  if (key == "scope") return any([](auto& value) { return value == "local"; });
  if (key == "label")
    return std::all_of(values.begin(), values.end(),
                       [&](auto& value) { return has_label(record.spec.labels, value); });
  if (key == "label!")
    return std::none_of(values.begin(), values.end(),
                        [&](auto& value) { return has_label(record.spec.labels, value); });
  if (key == "type") {
    for (const std::string& value : values)
      if (value != "builtin" && value != "custom")
        return fail(Code::kInvalidArgument, "invalid filter: 'type'='{}'", value);
    return any([&](auto& value) { return (value == "builtin") == record.predefined(); });
  }
  if (key == "dangling") {
    ASSIGN_OR_RETURN(const bool wanted, parse_bool(key, values.front()));
    return wanted ? !record.predefined() && !in_use : in_use || record.predefined();
  }
  if (key == "until") {
    const auto moment = parse_moment(values.front(), now());
    if (!moment) return fail(Code::kInvalidArgument, "invalid filter 'until=[{}]'", values.front());
    return record.created < *moment;
  }
  return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
}

Status check_keys(const Filters& filters, std::initializer_list<std::string_view> known) {
  for (const auto& [key, values] : filters)
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
  return {};
}

Result<bool> passes_all(const Filters& filters, const NetworkRecord& record, bool in_use) {
  for (const auto& [key, values] : filters) {
    ASSIGN_OR_RETURN(const bool pass, passes(key, values, record, in_use));
    if (!pass) return false;
  }
  return true;
}

NetworkRecord predefined_record(const std::string& name, const std::string& driver) {
  NetworkRecord record;
  record.id = NetworkId(random_hex(64));
  record.spec.name = name;
  record.spec.driver = driver;
  record.created = now();
  return record;
}

}  // namespace

Networks::Impl::Impl(std::unique_ptr<HostNetwork> host, NetworksOptions options, Store& store)
    : host_(std::move(host)),
      options_(std::move(options)),
      store_(store),
      run_(options_.exec_root + "/network"),
      tag_(sha256_hex(options_.exec_root).substr(0, 8)) {}

Networks::Networks(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Networks::~Networks() = default;

Result<std::unique_ptr<Networks>> Networks::open(NetworksOptions options, Store& store) {
  auto host = make_kernel_network(options.aardvark);
  return open_on(std::move(host), std::move(options), store);
}

Result<std::unique_ptr<Networks>> Networks::open_on(std::unique_ptr<HostNetwork> host,
                                                    NetworksOptions options, Store& store) {
  if (options.pools.empty()) options.pools = default_address_pools();
  if (!valid_interface_name(options.bridge))
    return fail(Code::kInvalidArgument, "invalid bridge name \"{}\"", options.bridge);
  auto impl = std::make_unique<Impl>(std::move(host), std::move(options), store);
  for (const char* directory : {"/attachments", "/names"})
    RETURN_IF_ERROR(make_directories(impl->run_ + directory, 0700));
  RETURN_IF_ERROR(impl->load_networks());
  RETURN_IF_ERROR(impl->ensure_predefined());
  RETURN_IF_ERROR(impl->load_attachments());
  return std::unique_ptr<Networks>(new Networks(std::move(impl)));
}

Status Networks::Impl::load_networks() {
  ASSIGN_OR_RETURN(const std::vector<Record> records, store_.all(RecordKind::kNetwork));
  for (const Record& stored : records) {
    auto record = NetworkRecord::parse(stored.document);
    if (!record) return tl::unexpected(std::move(record).error().wrap("network " + stored.key));
    Network network;
    network.record = *std::move(record);
    ASSIGN_OR_RETURN(network.plans, plan_addresses(network.record.spec.ipam));
    network.bridge_up =
        !network.record.bridge.empty() && host_->has_interface(network.record.bridge);
    networks_.emplace(network.record.id, std::move(network));
  }
  return {};
}

// The default bridge as the daemon's flags have it, with the id and, unless --bip says otherwise,
// the subnet that it had before.
Result<Networks::Impl::Network> Networks::Impl::default_bridge() {
  Network network;
  auto found = lookup("bridge");
  network.record = found ? (*found)->record : predefined_record("bridge", "bridge");
  NetworkRecord& record = network.record;
  record.bridge = options_.bridge;
  record.spec.options = {{"com.docker.network.bridge.default_bridge", "true"},
                         {kOptionIcc, "true"},
                         {kOptionMasquerade, "true"},
                         {"com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"},
                         {kOptionName, options_.bridge},
                         {kOptionMtu, std::to_string(options_.mtu > 0 ? options_.mtu : 1500)}};
  if (!options_.bip.empty()) {
    const auto bip = Subnet::parse_interface(options_.bip);
    if (!bip) return fail(Code::kInvalidArgument, "invalid CIDR address: {}", options_.bip);
    record.spec.ipam = {{bip->second.str(), bip->first.str(), {}, {}}};
  }
  if (record.spec.ipam.empty()) RETURN_IF_ERROR(choose_subnets(record));
  ASSIGN_OR_RETURN(network.plans, plan_addresses(record.spec.ipam));
  network.bridge_up = host_->has_interface(record.bridge);
  return network;
}

Status Networks::Impl::ensure_predefined() {
  Batch batch;
  bool changed = false;
  const auto keep = [&](Network network) {
    const NetworkRecord& record = network.record;
    const Network* known = by_id(record.id);
    if (known == nullptr || known->record.document() != record.document()) {
      batch.put(RecordKind::kNetwork, record.id.str(), record.document());
      changed = true;
    }
    networks_.insert_or_assign(record.id, std::move(network));
  };
  for (const auto& [name, driver] : {std::pair("host", "host"), std::pair("none", "null")}) {
    if (lookup(name)) continue;
    Network network;
    network.record = predefined_record(name, driver);
    keep(std::move(network));
  }
  if (options_.bridge != "none") {
    ASSIGN_OR_RETURN(Network network, default_bridge());
    keep(std::move(network));
  } else if (const auto bridge = lookup("bridge")) {
    networks_.erase((*bridge)->record.id);  // kept in the store, for when the flag is dropped again
  }
  if (!changed) return {};
  return store_.commit(std::move(batch));
}

std::vector<Subnet> Networks::Impl::own_subnets() const {
  std::vector<Subnet> subnets;
  for (const auto& [id, network] : networks_)
    for (const AddressPlan& plan : network.plans) subnets.push_back(plan.space.subnet());
  return subnets;
}

// Completes IPAM.Config: a subnet for each family that is on and has none. Reads the host's routes.
Status Networks::Impl::choose_subnets(NetworkRecord& record) {
  auto& ipam = record.spec.ipam;
  std::erase_if(ipam, [](const IpamConfig& config) { return config.subnet.empty(); });
  const auto has_family = [&](bool v6) {
    return std::any_of(ipam.begin(), ipam.end(), [&](const IpamConfig& config) {
      const auto subnet = Subnet::parse(config.subnet);
      return subnet && subnet->base.is_v6() == v6;
    });
  };
  if (record.spec.ipv4 && !has_family(false)) {
    std::vector<Subnet> used = own_subnets();
    const auto on_host = host_->subnets_in_use();
    used.insert(used.end(), on_host.begin(), on_host.end());
    // Left to default bridges: ours, and that of a dockerd which may be started here later.
    if (!record.predefined()) used.push_back(*Subnet::parse("172.17.0.0/16"));
    ASSIGN_OR_RETURN(const Subnet subnet, free_subnet(options_.pools, used, false));
    ipam.push_back({subnet.str(), {}, {}, {}});
    record.chosen = true;
  }
  if (record.spec.ipv6 && !has_family(true)) ipam.push_back({random_v6_subnet(), {}, {}, {}});
  return {};
}

Status Networks::Impl::check_overlap(const std::vector<IpamConfig>& configs) const {
  std::vector<Subnet> used = own_subnets();
  for (const IpamConfig& config : configs) {
    const auto subnet = Subnet::parse(config.subnet);
    if (!subnet) continue;
    if (std::any_of(used.begin(), used.end(),
                    [&](const Subnet& other) { return other.overlaps(*subnet); }))
      return fail(Code::kPermissionDenied,
                  "invalid pool request: Pool overlaps with other one on this address space");
    used.push_back(*subnet);
  }
  return {};
}

Status Networks::Impl::check_new(const NetworkSpec& spec) const {
  if (spec.name.empty()) return fail(Code::kInvalidArgument, "invalid name: name is empty");
  if (spec.name == "bridge" || spec.name == "host" || spec.name == "none" || spec.name == "default")
    return fail(Code::kPermissionDenied, "operation is not permitted on predefined {} network",
                spec.name);
  if (spec.name.starts_with("container:"))
    return fail(Code::kInvalidArgument, "invalid name: {}", spec.name);
  if (spec.driver == "host" || spec.driver == "null")
    return fail(Code::kPermissionDenied, "only one instance of \"{}\" network is allowed",
                spec.driver);
  if (spec.driver != "bridge") return fail(Code::kNotFound, "plugin \"{}\" not found", spec.driver);
  if (spec.ipam_driver != "default")
    return fail(Code::kNotFound, "plugin \"{}\" not found", spec.ipam_driver);
  if (spec.config_only)
    return fail(Code::kNotImplemented, "config-only networks are not supported");
  if (!spec.ipv4 && !spec.ipv6) return fail(Code::kInvalidArgument, "IPv4 or IPv6 must be enabled");
  for (const auto& [id, network] : networks_)
    if (network.record.spec.name == spec.name)
      return fail(Code::kAlreadyExists, "network with name {} already exists", spec.name);
  return check_ipam(spec.ipam, spec.ipv6);
}

Result<Networks::Created> Networks::create(const NetworkSpec& spec) {
  Impl::Network network;
  NetworkRecord& record = network.record;
  record.spec = spec;
  record.id = NetworkId(random_hex(64));
  record.created = now();
  record.bridge = bridge_name(record);
  if (!valid_interface_name(record.bridge))
    return fail(Code::kInvalidArgument, "invalid bridge name \"{}\"", record.bridge);
  network.pending = true;
  const NetworkId id = record.id;
  std::string document;
  {
    const Impl::Lock lock(impl_->mutex_);
    RETURN_IF_ERROR(impl_->check_new(spec));
    for (const auto& [other_id, other] : impl_->networks_)
      if (other.record.bridge == record.bridge)
        return fail(Code::kPermissionDenied,
                    "networks have same bridge name: {} and {} both use \"{}\"", spec.name,
                    other.record.spec.name, record.bridge);
    RETURN_IF_ERROR(impl_->check_overlap(spec.ipam));
    RETURN_IF_ERROR(impl_->choose_subnets(record));
    ASSIGN_OR_RETURN(network.plans, plan_addresses(record.spec.ipam));
    document = record.document();
    impl_->networks_.emplace(id, std::move(network));
  }
  auto status = impl_->store_.put(RecordKind::kNetwork, id.str(), document);
  // The bridge at once, as Docker does: from now on others see that the subnet is taken.
  bool changed = false;
  if (status) status = impl_->bring_up(id, &changed);
  if (status && changed) status = impl_->sync_rules();
  if (!status) {
    (void)impl_->store_.erase(RecordKind::kNetwork, id.str());
    const Impl::Lock lock(impl_->mutex_);
    impl_->networks_.erase(id);
    return tl::unexpected(std::move(status).error());
  }
  const Impl::Lock lock(impl_->mutex_);
  impl_->networks_.at(id).pending = false;
  return Created{id, {}};
}

// Creates the bridge unless it is there. `changed` tells that the packet filter has to learn of it.
Status Networks::Impl::bring_up(const NetworkId& id, bool* changed) {
  BridgePlan plan;
  std::shared_ptr<std::mutex> bridge_mutex;
  {
    const Lock lock(mutex_);
    const Network* network = by_id(id);
    if (network == nullptr) return fail(Code::kNotFound, "network {} not found", id.str());
    if (network->record.bridge.empty()) return {};
    plan.name = network->record.bridge;
    plan.mtu = network->record.mtu();
    for (const AddressPlan& addresses : network->plans)
      plan.gateways.push_back({addresses.gateway, addresses.space.subnet().prefix});
    bridge_mutex = network->bridge_mutex;
  }
  const std::lock_guard bridge(*bridge_mutex);
  // Somebody may have removed it behind our back.
  const bool present = host_->has_interface(plan.name);
  if (!present) RETURN_IF_ERROR(host_->ensure_bridge(plan));
  const Lock lock(mutex_);
  Network* network = by_id(id);
  if (network == nullptr) return fail(Code::kNotFound, "network {} not found", id.str());
  if (!present || !network->bridge_up) *changed = true;
  network->bridge_up = true;
  return {};
}

Networks::Impl::Network* Networks::Impl::by_id(const NetworkId& id) {
  const auto found = networks_.find(id);
  return found == networks_.end() ? nullptr : &found->second;
}

Result<Networks::Impl::Network*> Networks::Impl::lookup(std::string_view name_or_id) {
  Network* by_prefix = nullptr;
  Network* by_name = nullptr;
  int matches = 0;
  for (auto& [id, network] : networks_) {
    if (network.pending) continue;
    if (id.str() == name_or_id) return &network;
    if (network.record.spec.name == name_or_id) by_name = &network;
    if (!name_or_id.empty() && id.str().starts_with(name_or_id)) {
      by_prefix = &network;
      ++matches;
    }
  }
  if (by_name != nullptr) return by_name;
  if (matches > 1)
    return fail(Code::kInvalidArgument, "network {} is ambiguous ({} matches found on name)",
                name_or_id, matches);
  if (by_prefix != nullptr) return by_prefix;
  return fail(Code::kNotFound, "network {} not found", name_or_id);
}

Result<NetworkId> Networks::find(std::string_view name_or_id) const {
  const Impl::Lock lock(impl_->mutex_);
  ASSIGN_OR_RETURN(const Impl::Network* network, impl_->lookup(name_or_id));
  return network->record.id;
}

Result<std::string> Networks::name_of(const NetworkId& id) const {
  const Impl::Lock lock(impl_->mutex_);
  const Impl::Network* network = impl_->by_id(id);
  if (network == nullptr) return fail(Code::kNotFound, "network {} not found", id.str());
  return network->record.spec.name;
}

std::vector<std::pair<const Networks::Impl::Member*, const Endpoint*>> Networks::Impl::endpoints_of(
    const NetworkId& id) const {
  std::vector<std::pair<const Member*, const Endpoint*>> found;
  for (const auto& [container, member] : members_)
    for (const Endpoint& endpoint : member.attachment.endpoints)
      if (endpoint.network_id == id) found.emplace_back(&member, &endpoint);
  return found;
}

json::Object Networks::Impl::describe(const Network& network) const {
  json::Object object = network.record.to_json();
  json::Object& containers = object["Containers"].get_object();
  const auto cidr = [](const std::string& address, int prefix) {
    return address.empty() ? "" : fmt::format("{}/{}", address, prefix);
  };
  for (const auto& [member, endpoint] : endpoints_of(network.record.id))
    containers[member->attachment.container.str()] =
        json::Object{{"Name", member->attachment.container_name},
                     {"EndpointID", endpoint->endpoint_id},
                     {"MacAddress", endpoint->mac},
                     {"IPv4Address", cidr(endpoint->ipv4, endpoint->ipv4_prefix)},
                     {"IPv6Address", cidr(endpoint->ipv6, endpoint->ipv6_prefix)}};
  return object;
}

Result<json::Object> Networks::inspect(std::string_view name_or_id) const {
  const Impl::Lock lock(impl_->mutex_);
  ASSIGN_OR_RETURN(const Impl::Network* network, impl_->lookup(name_or_id));
  return impl_->describe(*network);
}

Result<json::Array> Networks::list(const Filters& filters) const {
  RETURN_IF_ERROR(
      check_keys(filters, {"name", "id", "driver", "scope", "label", "type", "dangling"}));
  const Impl::Lock lock(impl_->mutex_);
  json::Array array;
  for (const auto& [id, network] : impl_->networks_) {
    if (network.pending) continue;
    const bool in_use = !impl_->endpoints_of(id).empty();
    ASSIGN_OR_RETURN(const bool pass, passes_all(filters, network.record, in_use));
    if (pass) array.push_back(network.record.to_json());
  }
  return array;
}

std::string Networks::Impl::active_endpoints(const NetworkId& id) const {
  std::vector<std::string> active;
  for (const auto& [member, endpoint] : endpoints_of(id))
    active.push_back(fmt::format("name:\"{}\" id:\"{}\"", member->attachment.container_name,
                                 endpoint->endpoint_id.substr(0, kShortId)));
  return fmt::format("{}", fmt::join(active, ", "));
}

Result<Networks::Removed> Networks::remove(std::string_view name_or_id) {
  Removed removed;
  std::string bridge;
  std::shared_ptr<std::mutex> bridge_mutex;
  {
    const Impl::Lock lock(impl_->mutex_);
    ASSIGN_OR_RETURN(Impl::Network * network, impl_->lookup(name_or_id));
    const NetworkRecord& record = network->record;
    if (record.predefined())
      return fail(Code::kPermissionDenied, "{} is a pre-defined network and cannot be removed",
                  record.spec.name);
    if (const std::string active = impl_->active_endpoints(record.id); !active.empty())
      return fail(Code::kPermissionDenied,
                  "error while removing network: network {} id {} has active endpoints ({})",
                  record.spec.name, record.id.str(), active);
    removed = {record.id, record.spec.name, record.spec.driver};
    bridge = record.bridge;
    bridge_mutex = network->bridge_mutex;
    network->pending = true;
  }
  const auto status = impl_->store_.erase(RecordKind::kNetwork, removed.id.str());
  if (!status) {
    const Impl::Lock lock(impl_->mutex_);
    impl_->networks_.at(removed.id).pending = false;
    return tl::unexpected(status.error());
  }
  // Gone for good from here on: what remains of it on the host does no harm and is not an error.
  {
    const std::lock_guard bridge_lock(*bridge_mutex);
    (void)impl_->host_->remove_interface(bridge);
    const Impl::Lock lock(impl_->mutex_);
    impl_->networks_.erase(removed.id);
  }
  (void)impl_->sync_rules();
  return removed;
}

Result<std::vector<Networks::Removed>> Networks::prune(const Filters& filters,
                                                       const std::set<NetworkId>& keep) {
  RETURN_IF_ERROR(check_keys(filters, {"label", "label!", "until"}));
  std::vector<std::string> chosen;
  {
    const Impl::Lock lock(impl_->mutex_);
    for (const auto& [id, network] : impl_->networks_) {
      const bool in_use = !impl_->endpoints_of(id).empty() || keep.contains(id);
      if (network.pending || network.record.predefined() || in_use) continue;
      ASSIGN_OR_RETURN(const bool pass, passes_all(filters, network.record, in_use));
      if (pass) chosen.push_back(id.str());
    }
  }
  std::vector<Removed> removed;
  for (const std::string& id : chosen)
    if (auto one = remove(id)) removed.push_back(*std::move(one));
  return removed;
}

std::string Networks::resolv_conf(const ContainerDns& dns,
                                  const std::vector<Endpoint>& endpoints) const {
  std::vector<std::string> servers;
  for (const Endpoint& endpoint : endpoints) {
    if (!impl_->resolves_names(endpoint)) continue;
    servers.push_back(endpoint.ipv4_gateway.empty() ? endpoint.ipv6_gateway
                                                    : endpoint.ipv4_gateway);
  }
  return render_resolv_conf(dns, servers, impl_->host_->resolv_conf());
}

Result<std::string> Networks::hosts(std::string_view hostname, std::string_view domainname,
                                    const std::vector<Endpoint>& endpoints,
                                    const std::vector<std::string>& extra) const {
  std::string gateway;
  {
    const Impl::Lock lock(impl_->mutex_);
    if (const auto bridge = impl_->lookup("bridge"); bridge && !(*bridge)->plans.empty())
      gateway = (*bridge)->plans.front().gateway.str();
  }
  std::string names(hostname);
  if (!domainname.empty()) names = fmt::format("{0}.{1} {0}", hostname, domainname);
  std::vector<std::pair<std::string, std::string>> own;
  for (const Endpoint& endpoint : endpoints)
    for (const std::string& address : {endpoint.ipv4, endpoint.ipv6})
      if (!address.empty()) own.emplace_back(address, names);
  return render_hosts(own, extra, gateway);
}

}  // namespace holdfast
