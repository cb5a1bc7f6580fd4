#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "network/attachment_file.h"
#include "network/networks.h"
#include "network/networks_impl.h"
#include "network/rtnetlink.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kLeaveLimit{10};
constexpr std::size_t kShortId = 12;

// The host's end of the cable, named after the endpoint as Docker does.
std::string cable_name(const Endpoint& endpoint) {
  return "veth" + endpoint.endpoint_id.substr(0, 7);
}

bool is_predefined(const std::string& network) {
  return network == "bridge" || network == "host" || network == "none";
}

// Follows from the address, so that neighbours' ARP caches hold for whoever has it next.
std::string mac_of(const IpAddress& address) {
  if (address.is_v6()) {
    const std::string hex = random_hex(8);
    return fmt::format("02:42:{}:{}:{}:{}", hex.substr(0, 2), hex.substr(2, 2), hex.substr(4, 2),
                       hex.substr(6, 2));
  }
  const auto& bytes = address.bytes();
  return fmt::format("02:42:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3]);
}

std::string free_interface(const Attachment& attachment) {
  for (int number = 0;; ++number) {
    std::string name = fmt::format("eth{}", number);
    if (std::none_of(attachment.endpoints.begin(), attachment.endpoints.end(),
                     [&](const Endpoint& one) { return one.interface == name; }))
      return name;
  }
}

// Run-time state need not survive a power cut, so it costs no sync; but a reader never meets half
// of it.
Status write_unsynced(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    ASSIGN_OR_RETURN(const UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    RETURN_IF_ERROR(write_all(fd, bytes));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename to \"{}\"", path);
  return {};
}

}  // namespace

std::string Networks::Impl::file_of(const std::string& key, bool gone) const {
  return fmt::format("{}/attachments/{}.{}", run_, key, gone ? "gone" : "json");
}

Status Networks::Impl::save(const Member& member) const {
  return write_unsynced(file_of(member.key, false), attachment_document(member.attachment));
}

Status Networks::Impl::load_attachments() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_ + "/attachments", error)) {
    const std::string suffix = entry.path().extension();
    const auto text = read_file(entry.path());
    auto attachment = text ? parse_attachment(*text) : tl::unexpected(text.error());
    if (!attachment || (suffix != ".json" && suffix != ".gone")) {
      // Cut short by a power cut, after which there is nothing left on the host to take down.
      log::warn("dropping network state \"{}\"", entry.path().string());
      (void)remove_file(entry.path());
      continue;
    }
    Member member;
    member.attachment = *std::move(attachment);
    member.key = entry.path().stem();
    member.plugged = !member.attachment.netns.empty();
    const ContainerId container = member.attachment.container;
    for (const Endpoint& endpoint : member.attachment.endpoints) take_addresses(endpoint);
    if (suffix == ".gone" || members_.contains(container)) {
      leavers_.push_back({std::move(member), false});
      continue;
    }
    if (member.plugged) namespaces_[container] = member.attachment.netns;
    members_.emplace(container, std::move(member));
  }
  for (const auto& entry :
       std::filesystem::directory_iterator(options_.exec_root + "/netns", error))
    stale_namespaces_.push_back(entry.path());
  return {};
}

Status Networks::restore(const std::set<ContainerId>& live) {
  std::vector<ContainerId> dead;
  {
    const Impl::Lock lock(impl_->mutex_);
    for (auto& [container, member] : impl_->members_) {
      if (!live.contains(container)) {
        dead.push_back(container);
        continue;
      }
      for (const PublishedPort& one : member.attachment.ports) {
        const auto host_ip = IpAddress::parse(one.host_ip);
        if (!host_ip) continue;
        auto held = impl_->host_->hold_port(one.port.protocol, *host_ip, one.host_port);
        // The packet filter leads to the container all the same.
        if (held)
          member.held_ports.push_back(*std::move(held));
        else
          log::warn("hold published port of {}: {}", member.attachment.container_name,
                    held.error().message);
      }
    }
    std::erase_if(impl_->stale_namespaces_, [&](const std::string& path) {
      const std::string name = std::filesystem::path(path).filename();
      return live.contains(ContainerId(name.substr(0, name.find('.'))));
    });
  }
  for (const ContainerId& container : dead) leave(container);
  return {};
}

Status Networks::sweep() {
  std::vector<std::string> stale;
  std::set<ContainerId> gone;
  {
    const Impl::Lock lock(impl_->mutex_);
    stale.swap(impl_->stale_namespaces_);
    for (const Impl::Leaver& leaver : impl_->leavers_)
      gone.insert(leaver.member.attachment.container);
  }
  Status status;
  for (const ContainerId& container : gone)
    if (auto one = clear(container); !one) status = std::move(one);
  for (const std::string& path : stale)
    if (auto one = impl_->host_->remove_netns(path); !one) status = std::move(one);
  if (auto one = impl_->sync_rules(); !one) status = std::move(one);
  if (auto one = impl_->sync_names(); !one) status = std::move(one);
  return status;
}

Result<std::string> Networks::create_netns(const ContainerId& container, BorrowedFd owner) {
  std::string path = fmt::format("{}/netns/{}", impl_->options_.exec_root, container);
  {
    const Impl::Lock lock(impl_->mutex_);
    // One that the container had before may not be taken down yet.
    const auto leaving = [&](const std::string& candidate) {
      return std::any_of(impl_->leavers_.begin(), impl_->leavers_.end(), [&](const auto& leaver) {
        return leaver.member.attachment.netns == candidate;
      });
    };
    const std::string first = path;
    for (int number = 2; leaving(path); ++number) path = fmt::format("{}.{}", first, number);
    impl_->namespaces_[container] = path;
  }
  RETURN_IF_ERROR(impl_->host_->create_netns(path, owner));
  return path;
}

std::string Networks::netns_path(const ContainerId& container) const {
  const Impl::Lock lock(impl_->mutex_);
  const auto found = impl_->namespaces_.find(container);
  return found == impl_->namespaces_.end() ? "" : found->second;
}

void Networks::Impl::take_addresses(const Endpoint& endpoint) {
  Network* network = by_id(endpoint.network_id);
  if (network == nullptr) return;
  for (const std::string& text : {endpoint.ipv4, endpoint.ipv6})
    if (const auto address = IpAddress::parse(text))
      for (AddressPlan& plan : network->plans)
        if (plan.space.subnet().contains(*address)) plan.space.hold(*address);
}

void Networks::Impl::free_addresses(const Endpoint& endpoint) {
  Network* network = by_id(endpoint.network_id);
  if (network == nullptr) return;
  for (const std::string& text : {endpoint.ipv4, endpoint.ipv6})
    if (const auto address = IpAddress::parse(text))
      for (AddressPlan& plan : network->plans)
        if (plan.space.subnet().contains(*address)) plan.space.release(*address);
}

Status Networks::Impl::give_address(Network& network, Endpoint& endpoint, bool v6) {
  const std::string& requested = v6 ? endpoint.requested_ipv6 : endpoint.requested_ipv4;
  const auto wanted = IpAddress::parse(requested);
  if (!requested.empty() && (!wanted || wanted->is_v6() != v6))
    return fail(Code::kInvalidArgument, "invalid IPv{} address: {}", v6 ? 6 : 4, requested);
  Status refused;
  for (AddressPlan& plan : network.plans) {
    if (plan.space.subnet().base.is_v6() != v6) continue;
    Result<IpAddress> given = wanted ? Result<IpAddress>(*wanted) : plan.space.take_any();
    if (wanted) {
      auto taken = plan.space.take(*wanted);
      if (!taken) given = tl::unexpected(std::move(taken).error());
    }
    if (!given) {
      refused = tl::unexpected(std::move(given).error());
      // Taken is final; not of this subnet, or this one full: another subnet may do.
      if (refused.error().code == Code::kPermissionDenied) return refused;
      continue;
    }
    (v6 ? endpoint.ipv6 : endpoint.ipv4) = given->str();
    (v6 ? endpoint.ipv6_prefix : endpoint.ipv4_prefix) = plan.space.subnet().prefix;
    (v6 ? endpoint.ipv6_gateway : endpoint.ipv4_gateway) = plan.gateway.str();
    return {};
  }
  if (refused && wanted)
    return fail(Code::kInvalidArgument, "no configured subnet contains IP address {}", requested);
  return refused;
}

// Fills in what the network gives. After failure nothing is taken.
Status Networks::Impl::give_endpoint(const Member& member, Endpoint& endpoint) {
  ASSIGN_OR_RETURN(Network * network, lookup(endpoint.network));
  const NetworkRecord& record = network->record;
  for (const Endpoint& other : member.attachment.endpoints)
    if (&other != &endpoint && other.network_id == record.id)
      return fail(Code::kPermissionDenied, "endpoint with name {} already exists in network {}",
                  member.attachment.container_name, record.spec.name);
  const bool requested = !endpoint.requested_ipv4.empty() || !endpoint.requested_ipv6.empty();
  if (requested && record.predefined())
    return fail(Code::kInvalidArgument,
                "user specified IP address is supported on user defined networks only");
  if (requested && record.chosen)
    return fail(Code::kInvalidArgument,
                "user specified IP address is supported only when connecting to networks with user "
                "configured subnets");
  if (!endpoint.aliases.empty() && record.predefined())
    return fail(Code::kInvalidArgument,
                "network-scoped aliases are only supported for user-defined networks");
  if (!endpoint.requested_mac.empty() && !parse_mac(endpoint.requested_mac))
    return fail(Code::kInvalidArgument, "invalid MAC address: {}", endpoint.requested_mac);
  endpoint.network_id = record.id;
  endpoint.network_name = record.spec.name;
  endpoint.endpoint_id = random_hex(64);
  if (record.bridge.empty()) return {};

  RETURN_IF_ERROR(give_address(*network, endpoint, false));
  if (auto status = give_address(*network, endpoint, true); !status) {
    free_addresses(endpoint);
    return status;
  }
  endpoint.interface = free_interface(member.attachment);
  endpoint.mac = endpoint.requested_mac;
  if (endpoint.mac.empty())
    endpoint.mac = mac_of(*IpAddress::parse(endpoint.ipv4.empty() ? endpoint.ipv6 : endpoint.ipv4));
  endpoint.dns_names = names_of(member.attachment, endpoint);
  return {};
}

std::vector<std::string> Networks::Impl::names_of(const Attachment& attachment,
                                                  const Endpoint& endpoint) const {
  if (is_predefined(endpoint.network_name)) return {};
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  };
  add(attachment.container_name);
  for (const std::string& alias : endpoint.aliases) add(alias);
  add(attachment.container.str().substr(0, kShortId));
  add(attachment.hostname);
  return names;
}

bool Networks::Impl::resolves_names(const Endpoint& endpoint) const {
  return !endpoint.interface.empty() && !is_predefined(endpoint.network_name) &&
         file_exists(options_.aardvark);
}

bool Networks::Impl::resolves_names(const Attachment& attachment) const {
  return std::any_of(attachment.endpoints.begin(), attachment.endpoints.end(),
                     [&](const Endpoint& endpoint) { return resolves_names(endpoint); });
}

const Endpoint* Networks::Impl::outward(const Attachment& attachment) const {
  for (const Endpoint& endpoint : attachment.endpoints) {
    const auto network = networks_.find(endpoint.network_id);
    if (network != networks_.end() && !endpoint.interface.empty() &&
        !network->second.record.spec.internal)
      return &endpoint;
  }
  return nullptr;
}

bool Networks::Impl::leaving_has(const std::string& address) const {
  for (const Leaver& leaver : leavers_)
    for (const Endpoint& endpoint : leaver.member.attachment.endpoints)
      if (endpoint.ipv4 == address || endpoint.ipv6 == address) return true;
  return false;
}

void Networks::Impl::wait_for_addresses(Lock& lock, const std::vector<Endpoint>& endpoints) {
  left_.wait_for(lock, kLeaveLimit, [&] {
    return std::none_of(endpoints.begin(), endpoints.end(), [&](const Endpoint& endpoint) {
      return (!endpoint.requested_ipv4.empty() && leaving_has(endpoint.requested_ipv4)) ||
             (!endpoint.requested_ipv6.empty() && leaving_has(endpoint.requested_ipv6));
    });
  });
}

Result<Attachment> Networks::reserve(const AttachRequest& request) {
  Impl::Member member;
  Attachment& attachment = member.attachment;
  attachment.container = request.container;
  attachment.container_name = request.container_name;
  attachment.hostname = request.hostname;
  attachment.dns = request.dns;
  member.key = fmt::format("{}-{}", request.container, random_hex(8));
  std::vector<Endpoint> wanted = request.endpoints;
  std::stable_sort(wanted.begin(), wanted.end(), [](const Endpoint& a, const Endpoint& b) {
    return a.gateway_priority > b.gateway_priority;
  });

  Impl::Lock lock(impl_->mutex_);
  impl_->wait_for_addresses(lock, wanted);
  if (impl_->members_.contains(request.container))
    return fail(Code::kConflict, "container {} is attached to its networks already",
                request.container_name);
  Status status;
  for (Endpoint& endpoint : wanted) {
    status = impl_->give_endpoint(member, endpoint);
    if (!status) break;
    attachment.endpoints.push_back(endpoint);
  }
  if (status) status = impl_->publish(member, request.ports);
  if (status) status = impl_->save(member);
  if (!status) {
    for (const Endpoint& endpoint : attachment.endpoints) impl_->free_addresses(endpoint);
    return tl::unexpected(std::move(status).error());
  }
  Attachment result = attachment;
  impl_->members_.emplace(request.container, std::move(member));
  return result;
}

Status Networks::Impl::plug(const Attachment& attachment, const Endpoint& endpoint,
                            bool default_route) {
  CablePlan plan;
  {
    const Lock lock(mutex_);
    const Network* network = by_id(endpoint.network_id);
    if (network == nullptr)
      return fail(Code::kNotFound, "network {} not found", endpoint.network_name);
    plan.bridge = network->record.bridge;
    plan.mtu = network->record.mtu();
    plan.isolated =
        !network->record.option(kOptionIcc).empty() && !network->record.option_on(kOptionIcc);
  }
  plan.hairpin = !attachment.ports.empty();
  plan.host_name = cable_name(endpoint);
  plan.netns = attachment.netns;
  plan.name = endpoint.interface;
  plan.mac = endpoint.mac;
  const auto add = [&](const std::string& text, int prefix, const std::string& gateway) {
    const auto address = IpAddress::parse(text);
    if (!address) return;
    plan.addresses.push_back({*address, prefix});
    if (const auto route = IpAddress::parse(gateway); route && default_route)
      plan.default_routes.push_back(*route);
  };
  add(endpoint.ipv4, endpoint.ipv4_prefix, endpoint.ipv4_gateway);
  add(endpoint.ipv6, endpoint.ipv6_prefix, endpoint.ipv6_gateway);
  return host_->plug(plan);
}

Status Networks::set_up(const ContainerId& container, const std::string& netns) {
  Attachment attachment;
  std::string way_out;  // endpoint id
  {
    const Impl::Lock lock(impl_->mutex_);
    const auto found = impl_->members_.find(container);
    if (found == impl_->members_.end())
      return fail(Code::kNotFound, "container {} has no networks reserved", container);
    Impl::Member& member = found->second;
    member.attachment.netns = netns;
    member.plugged = true;
    RETURN_IF_ERROR(impl_->save(member));
    attachment = member.attachment;
    if (const Endpoint* outward = impl_->outward(attachment)) way_out = outward->endpoint_id;
  }
  bool rules_changed = !attachment.ports.empty();
  for (const Endpoint& endpoint : attachment.endpoints) {
    if (endpoint.interface.empty()) continue;
    RETURN_IF_ERROR(impl_->bring_up(endpoint.network_id, &rules_changed));
    RETURN_IF_ERROR(impl_->plug(attachment, endpoint, endpoint.endpoint_id == way_out));
  }
  if (rules_changed) RETURN_IF_ERROR(impl_->sync_rules());
  if (impl_->resolves_names(attachment)) RETURN_IF_ERROR(impl_->sync_names());
  return {};
}

void Networks::leave(const ContainerId& container) {
  const Impl::Lock lock(impl_->mutex_);
  Impl::Leaver leaver;
  const auto found = impl_->members_.find(container);
  const auto netns = impl_->namespaces_.find(container);
  if (found == impl_->members_.end() && netns == impl_->namespaces_.end()) return;
  if (found != impl_->members_.end()) {
    leaver.member = std::move(found->second);
    impl_->members_.erase(found);
    leaver.member.held_ports.clear();
    ::rename(impl_->file_of(leaver.member.key, false).c_str(),
             impl_->file_of(leaver.member.key, true).c_str());
  } else {
    leaver.member.attachment.container = container;
    leaver.member.key = fmt::format("{}-{}", container, random_hex(8));
  }
  if (netns != impl_->namespaces_.end()) {
    leaver.member.attachment.netns = netns->second;
    impl_->namespaces_.erase(netns);
  }
  impl_->leavers_.push_back(std::move(leaver));
}

Networks::Impl::Leaver* Networks::Impl::next_leaver(const ContainerId& container) {
  for (Leaver& leaver : leavers_)
    if (!leaver.busy && leaver.member.attachment.container == container) return &leaver;
  return nullptr;
}

void Networks::Impl::erase_leaver(const std::string& key) {
  std::erase_if(leavers_, [&](const Leaver& leaver) { return leaver.member.key == key; });
  left_.notify_all();
}

// Every step may find its work done: by the end of the namespace, or by a daemon that was killed at
// it.
Status Networks::Impl::take_down(const Member& member) {
  const Attachment& attachment = member.attachment;
  Status status;
  const auto note = [&](Status one) {
    if (!one && status) status = std::move(one);
  };
  if (!attachment.ports.empty()) note(sync_rules());
  for (const Endpoint& endpoint : attachment.endpoints)
    if (!endpoint.interface.empty()) note(host_->remove_interface(cable_name(endpoint)));
  // Only our own: a container may have been given another's.
  if (attachment.netns.starts_with(options_.exec_root + "/netns/"))
    note(host_->remove_netns(attachment.netns));
  if (resolves_names(attachment)) note(sync_names());
  return status;
}

Status Networks::tear_down(const ContainerId& container) {
  leave(container);
  return clear(container);
}

Status Networks::clear(const ContainerId& container) {
  Status status;
  for (;;) {
    Impl::Member member;
    {
      const Impl::Lock lock(impl_->mutex_);
      Impl::Leaver* leaver = impl_->next_leaver(container);
      if (leaver == nullptr) return status;
      leaver->busy = true;
      member.attachment = leaver->member.attachment;
      member.key = leaver->member.key;
    }
    if (auto one = impl_->take_down(member); !one) status = std::move(one);
    // What could not be taken down now could not later either; its file goes all the same, or it
    // would be tried at every start.
    (void)remove_file(impl_->file_of(member.key, true));
    const Impl::Lock lock(impl_->mutex_);
    for (const Endpoint& endpoint : member.attachment.endpoints) impl_->free_addresses(endpoint);
    impl_->erase_leaver(member.key);
  }
}

Result<Attachment> Networks::connect(const ContainerId& container, const Endpoint& endpoint) {
  Attachment attachment;
  Endpoint added = endpoint;
  bool plugged = false, default_route = false;
  {
    Impl::Lock lock(impl_->mutex_);
    impl_->wait_for_addresses(lock, {endpoint});
    const auto found = impl_->members_.find(container);
    if (found == impl_->members_.end())
      return fail(Code::kConflict, "container {} is not running", container);
    Impl::Member& member = found->second;
    RETURN_IF_ERROR(impl_->give_endpoint(member, added));
    member.attachment.endpoints.push_back(added);
    const Endpoint* outward = impl_->outward(member.attachment);
    default_route = outward != nullptr && outward->endpoint_id == added.endpoint_id;
    if (auto saved = impl_->save(member); !saved) {
      impl_->free_addresses(added);
      member.attachment.endpoints.pop_back();
      return tl::unexpected(std::move(saved).error());
    }
    plugged = member.plugged;
    attachment = member.attachment;
  }
  if (!plugged || added.interface.empty()) return attachment;
  bool rules_changed = !attachment.ports.empty();
  auto status = impl_->bring_up(added.network_id, &rules_changed);
  if (status) status = impl_->plug(attachment, added, default_route);
  if (status && rules_changed) status = impl_->sync_rules();
  if (status && impl_->resolves_names(added)) status = impl_->sync_names();
  if (status) return attachment;
  (void)disconnect(container, added.network_id.str());
  return tl::unexpected(std::move(status).error());
}

Result<Attachment> Networks::disconnect(const ContainerId& container, std::string_view network) {
  Attachment attachment;
  Endpoint removed;
  {
    const Impl::Lock lock(impl_->mutex_);
    ASSIGN_OR_RETURN(const Impl::Network* wanted, impl_->lookup(network));
    const auto member = impl_->members_.find(container);
    const auto matches = [&](const Endpoint& one) { return one.network_id == wanted->record.id; };
    if (member == impl_->members_.end() ||
        std::none_of(member->second.attachment.endpoints.begin(),
                     member->second.attachment.endpoints.end(), matches))
      return fail(Code::kPermissionDenied, "container {} is not connected to network {}", container,
                  wanted->record.spec.name);
    auto& endpoints = member->second.attachment.endpoints;
    const auto found = std::find_if(endpoints.begin(), endpoints.end(), matches);
    removed = *found;
    endpoints.erase(found);
    RETURN_IF_ERROR(impl_->save(member->second));
    attachment = member->second.attachment;
  }
  Status status;
  if (!removed.interface.empty()) status = impl_->host_->remove_interface(cable_name(removed));
  {
    const Impl::Lock lock(impl_->mutex_);
    impl_->free_addresses(removed);
  }
  if (status) status = impl_->move_default_route(attachment);
  if (status && !attachment.ports.empty()) status = impl_->sync_rules();
  if (status && impl_->resolves_names(removed)) status = impl_->sync_names();
  if (!status) return tl::unexpected(std::move(status).error());
  return attachment;
}

// After a network is gone: the next one that leads out has the default route.
Status Networks::Impl::move_default_route(const Attachment& attachment) {
  Endpoint way_out;
  {
    const Lock lock(mutex_);
    const Endpoint* outward_now = outward(attachment);
    if (outward_now == nullptr || attachment.netns.empty()) return {};
    way_out = *outward_now;
  }
  for (const std::string& text : {way_out.ipv4_gateway, way_out.ipv6_gateway})
    if (const auto gateway = IpAddress::parse(text))
      RETURN_IF_ERROR(host_->add_default_route(attachment.netns, way_out.interface, *gateway));
  return {};
}

std::optional<Attachment> Networks::attachment(const ContainerId& container) const {
  const Impl::Lock lock(impl_->mutex_);
  const auto found = impl_->members_.find(container);
  if (found == impl_->members_.end()) return std::nullopt;
  return found->second.attachment;
}

std::vector<ContainerId> Networks::attached(const NetworkId& network) const {
  const Impl::Lock lock(impl_->mutex_);
  std::vector<ContainerId> containers;
  for (const auto& [member, endpoint] : impl_->endpoints_of(network))
    containers.push_back(member->attachment.container);
  return containers;
}

Status Networks::rename(const ContainerId& container, const std::string& name) {
  {
    const Impl::Lock lock(impl_->mutex_);
    const auto found = impl_->members_.find(container);
    if (found == impl_->members_.end()) return {};
    Attachment& attachment = found->second.attachment;
    attachment.container_name = name;
    for (Endpoint& endpoint : attachment.endpoints)
      endpoint.dns_names = impl_->names_of(attachment, endpoint);
    RETURN_IF_ERROR(impl_->save(found->second));
    if (!impl_->resolves_names(attachment)) return {};
  }
  return impl_->sync_names();
}

}  // namespace holdfast
