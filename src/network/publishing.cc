#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/log.h"
#include "network/container_files.h"
#include "network/networks_impl.h"

namespace holdfast {
namespace {

struct PortRange {
  std::uint16_t first = 32768;
  std::uint16_t last = 60999;
};

// Where the kernel, and so Docker, takes ports from that nobody chose.
PortRange ephemeral_ports() {
  PortRange range;
  std::istringstream text(read_file("/proc/sys/net/ipv4/ip_local_port_range").value_or(""));
  unsigned first = 0, last = 0;
  if (text >> first >> last && first > 0 && first <= last && last <= 65535)
    range = {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
  return range;
}

std::string bracketed(const IpAddress& address) {
  return address.is_v6() ? "[" + address.str() + "]" : address.str();
}

// errno's text as Go spells it.
std::string lower_case(std::string text) {
  if (!text.empty()) text.front() = static_cast<char>(std::tolower(text.front()));
  return text;
}

}  // namespace

bool Networks::Impl::port_taken(const Member& member, Protocol protocol, const IpAddress& host_ip,
                                std::uint16_t port) const {
  const auto has = [&](const Attachment& attachment) {
    return std::any_of(
        attachment.ports.begin(), attachment.ports.end(), [&](const PublishedPort& one) {
          if (one.port.protocol != protocol || one.host_port != port) return false;
          const auto other = IpAddress::parse(one.host_ip);
          return other && other->is_v6() == host_ip.is_v6() &&
                 (*other == host_ip || other->unspecified() || host_ip.unspecified());
        });
  };
  if (has(member.attachment)) return true;
  return std::any_of(members_.begin(), members_.end(),
                     [&](const auto& entry) { return has(entry.second.attachment); });
}

// Takes one port of the host for the member. kConflict: a container has it; else bind(2)'s error.
Status Networks::Impl::hold(Member& member, const PortRequest& request, const IpAddress& host_ip,
                            std::uint16_t port) {
  if (port_taken(member, request.port.protocol, host_ip, port))
    return fail(Code::kConflict, "Bind for {}:{} failed: port is already allocated",
                bracketed(host_ip), port);
  auto held = host_->hold_port(request.port.protocol, host_ip, port);
  // Kernels without SCTP sockets still forward it.
  if (!held && held.error().sys_errno != EPROTONOSUPPORT) {
    return tl::unexpected(std::move(held).error());
  }
  if (held) member.held_ports.push_back(*std::move(held));
  member.attachment.ports.push_back({request.port, host_ip.str(), port});
  return {};
}

Result<PublishedPort> Networks::Impl::hold_any(Member& member, const PortRequest& request,
                                               const IpAddress& host_ip) {
  const bool anywhere = request.first == 0;
  const PortRange range = anywhere ? ephemeral_ports() : PortRange{request.first, request.last};
  const unsigned size = range.last - range.first + 1u;
  // On from the last one given out, so that a port isn't reused while clients may still mean the
  // old owner.
  unsigned offset = 0;
  if (anywhere && last_ephemeral_ >= range.first) offset = last_ephemeral_ + 1u - range.first;
  Error last;
  for (unsigned i = 0; i < size; ++i) {
    const auto port = static_cast<std::uint16_t>(range.first + (offset + i) % size);
    auto status = hold(member, request, host_ip, port);
    if (status) {
      if (anywhere) last_ephemeral_ = port;
      return member.attachment.ports.back();
    }
    last = std::move(status).error();
    if (last.code != Code::kConflict && last.sys_errno != EADDRINUSE) break;
  }
  if (last.code == Code::kConflict && size == 1) return tl::unexpected(std::move(last));
  if (size > 1 && (last.code == Code::kConflict || last.sys_errno == EADDRINUSE))
    return fail(Code::kInternal, "all ports are allocated");
  return tl::unexpected(std::move(last));
}

Status Networks::Impl::publish_one(Member& member, const Endpoint& endpoint,
                                   const PortRequest& request) {
  const auto host_ip = IpAddress::parse(request.host_ip.empty() ? "0.0.0.0" : request.host_ip);
  if (!host_ip) return fail(Code::kInvalidArgument, "invalid IP address: {}", request.host_ip);
  const std::string& target = host_ip->is_v6() ? endpoint.ipv6 : endpoint.ipv4;
  // An IPv6 address of the host leads nowhere for a container without one.
  if (target.empty()) return {};
  auto held = hold_any(member, request, *host_ip);
  if (!held) {
    Error error = std::move(held).error();
    if (error.sys_errno != 0)
      error.message =
          fmt::format("failed to bind host port for {}:{}:{}:{}/{}: {}", bracketed(*host_ip),
                      request.first, target, request.port.number, to_string(request.port.protocol),
                      lower_case(std::strerror(error.sys_errno)));
    return fail(Code::kInternal,
                "driver failed programming external connectivity on endpoint {} ({}): {}",
                member.attachment.container_name, endpoint.endpoint_id, error.message);
  }
  if (!request.host_ip.empty() || endpoint.ipv6.empty()) return {};
  // The same port on IPv6, as far as it is free there.
  PortRequest same = request;
  same.first = same.last = held->host_port;
  (void)hold_any(member, same, *IpAddress::parse("::"));
  return {};
}

// Where no network leads out (host, none, internal) published ports mean nothing, as with Docker.
Status Networks::Impl::publish(Member& member, const std::vector<PortRequest>& requests) {
  const Endpoint* endpoint = outward(member.attachment);
  if (endpoint == nullptr) return {};
  // Fixed ports before free ones, which must not take them.
  for (const bool fixed : {true, false})
    for (const PortRequest& request : requests)
      if ((request.first != 0) == fixed) RETURN_IF_ERROR(publish_one(member, *endpoint, request));
  return {};
}

std::vector<NetworkRules> Networks::Impl::rules_of_networks(bool* v6) const {
  std::vector<NetworkRules> rules;
  for (const auto& [id, network] : networks_) {
    if (!network.bridge_up || network.record.bridge.empty()) continue;
    NetworkRules one;
    one.bridge = network.record.bridge;
    one.internal = network.record.spec.internal;
    one.masquerade = network.record.option(kOptionMasquerade).empty() ||
                     network.record.option_on(kOptionMasquerade);
    for (const AddressPlan& plan : network.plans) {
      one.subnets.push_back(plan.space.subnet());
      one.gateways.push_back(plan.gateway);
      if (plan.gateway.is_v6()) *v6 = true;
    }
    rules.push_back(std::move(one));
  }
  return rules;
}

std::vector<PortRule> Networks::Impl::rules_of_ports() const {
  std::vector<PortRule> rules;
  for (const auto& [container, member] : members_) {
    const Endpoint* endpoint = outward(member.attachment);
    if (endpoint == nullptr) continue;
    for (const PublishedPort& one : member.attachment.ports) {
      const auto host_ip = IpAddress::parse(one.host_ip);
      if (!host_ip) continue;
      const auto target = IpAddress::parse(host_ip->is_v6() ? endpoint->ipv6 : endpoint->ipv4);
      if (target)
        rules.push_back({one.port.protocol, *host_ip, one.host_port, *target, one.port.number});
    }
  }
  return rules;
}

// Brings the host's packet filter to what the records say. Whoever comes second while another is at
// it usually finds its own change applied along with the other's.
Status Networks::Impl::sync_rules() {
  const std::lock_guard rules(rules_mutex_);
  std::string v4, v6;
  {
    const Lock lock(mutex_);
    bool with_v6 = false;
    const auto networks = rules_of_networks(&with_v6);
    const auto ports = rules_of_ports();
    if (networks.empty() && applied_v4_.empty()) return {};  // nothing of ours is on the host
    v4 = render_rules(tag_, false, networks, ports);
    // IPv6 rules from the first network with IPv6 on; their tables may be missing from the kernel
    // else.
    if (with_v6 || !applied_v6_.empty()) v6 = render_rules(tag_, true, networks, ports);
  }
  for (const auto& [text, applied, is_v6] :
       {std::tuple(&v4, &applied_v4_, false), std::tuple(&v6, &applied_v6_, true)}) {
    if (*text == *applied) continue;
    RETURN_IF_ERROR(host_->apply_rules(is_v6, *text));
    if (applied->empty())
      for (const RuleJump& jump : rule_jumps(tag_))
        RETURN_IF_ERROR(host_->ensure_jump(is_v6, jump.table, jump.chain, jump.rule));
    *applied = *text;
  }
  return {};
}

Status Networks::withdraw() {
  const std::lock_guard rules(impl_->rules_mutex_);
  std::vector<std::string> bridges;
  bool with_v6 = false;
  {
    const Impl::Lock lock(impl_->mutex_);
    if (!impl_->members_.empty() || !impl_->leavers_.empty()) return {};
    for (const NetworkRules& network : impl_->rules_of_networks(&with_v6))
      bridges.push_back(network.bridge);
    for (auto& [id, network] : impl_->networks_) network.bridge_up = false;
  }
  if (bridges.empty() && impl_->applied_v4_.empty()) return {};
  for (const std::string& bridge : bridges) RETURN_IF_ERROR(impl_->host_->remove_interface(bridge));
  for (const std::string& text : render_withdrawal(impl_->tag_)) {
    RETURN_IF_ERROR(impl_->host_->apply_rules(false, text));
    if (!impl_->applied_v6_.empty()) RETURN_IF_ERROR(impl_->host_->apply_rules(true, text));
  }
  impl_->applied_v4_.clear();
  impl_->applied_v6_.clear();
  return {};
}

std::map<std::string, std::string> Networks::Impl::render_name_files() const {
  std::map<std::string, std::string> files;
  for (const auto& [id, network] : networks_) {
    std::vector<NameEntry> entries;
    for (const auto& [member, endpoint] : endpoints_of(id))
      if (resolves_names(*endpoint))
        entries.push_back({member->attachment.container.str(), endpoint->ipv4, endpoint->ipv6,
                           endpoint->dns_names, member->attachment.dns});
    if (entries.empty()) continue;
    std::vector<std::string> gateways;
    for (const AddressPlan& plan : network.plans) gateways.push_back(plan.gateway.str());
    files[id.str()] = render_names(gateways, entries);
  }
  return files;
}

// Brings the name server to what the records say.
Status Networks::Impl::sync_names() {
  const std::lock_guard names(names_mutex_);
  std::map<std::string, std::string> files;
  {
    const Lock lock(mutex_);
    files = render_name_files();
  }
  if (applied_names_ == files) return {};
  return write_names(std::move(files));
}

Status Networks::Impl::write_names(std::map<std::string, std::string> files) {
  const std::string directory = run_ + "/names";
  std::vector<IpAddress> servers;
  for (const auto& [name, text] : files) {
    // The server reads whatever is in its directory, so what is half-written lies outside.
    const std::string path = directory + "/" + name, temporary = run_ + "/names.tmp";
    {
      ASSIGN_OR_RETURN(const UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
      RETURN_IF_ERROR(write_all(fd, text));
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno("rename to \"{}\"", path);
    std::istringstream gateways(text.substr(0, text.find('\n')));
    for (std::string one; std::getline(gateways, one, ',');)
      if (const auto address = IpAddress::parse(one)) servers.push_back(*address);
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name != "aardvark.pid" && !files.contains(name)) RETURN_IF_ERROR(remove_file(entry.path()));
  }
  RETURN_IF_ERROR(host_->reload_names(directory, servers));
  applied_names_ = std::move(files);
  return {};
}

}  // namespace holdfast
