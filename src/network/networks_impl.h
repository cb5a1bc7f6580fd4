#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/firewall_rules.h"
#include "network/host_network.h"
#include "network/network_record.h"
#include "network/networks.h"
#include "state/store.h"

namespace holdfast {

// Networks' inside. Lock order: a network's bridge mutex, or one of rules_mutex_ and names_mutex_;
// then mutex_, which is held for memory work, bind(2) and the small unsynced files of run-time
// state, never across another call to the host or the store.
struct Networks::Impl {
  struct Network {
    NetworkRecord record;
    std::vector<AddressPlan> plans;
    bool pending =
        false;  // being created or removed: its name and subnets are taken, nobody finds it
    bool bridge_up = false;  // seen on the host by this process
    std::shared_ptr<std::mutex> bridge_mutex =
        std::make_shared<std::mutex>();  // making it so; shared with
                                         // who waits while it is removed
  };
  // A container that is attached, or whose attachment is being taken down.
  struct Member {
    Attachment attachment;
    std::string key;  // its file's name without the suffix
    std::vector<UniqueFd> held_ports;
    bool plugged = false;  // set_up() has run: connect() and disconnect() act at once
  };
  struct Leaver {
    Member member;
    bool busy = false;  // some clear() is at it
  };
  using Lock = std::unique_lock<std::mutex>;

  Impl(std::unique_ptr<HostNetwork> host, NetworksOptions options, Store& store);

  // --- networks.cc ---
  Status load_networks();
  Status ensure_predefined();
  Result<Network> default_bridge();
  Status choose_subnets(NetworkRecord& record);
  Status check_new(const NetworkSpec& spec) const;
  Status check_overlap(const std::vector<IpamConfig>& configs) const;
  std::vector<Subnet> own_subnets() const;
  Result<Network*> lookup(std::string_view name_or_id);
  Network* by_id(const NetworkId& id);
  json::Object describe(const Network& network) const;
  std::vector<std::pair<const Member*, const Endpoint*>> endpoints_of(const NetworkId& id) const;
  Status bring_up(const NetworkId& id, bool* changed);
  std::string active_endpoints(const NetworkId& id) const;

  // --- attachments.cc ---
  Status load_attachments();
  void take_addresses(const Endpoint& endpoint);
  void free_addresses(const Endpoint& endpoint);
  Status give_endpoint(const Member& member, Endpoint& endpoint);
  Status give_address(Network& network, Endpoint& endpoint, bool v6);
  void wait_for_addresses(Lock& lock, const std::vector<Endpoint>& endpoints);
  bool leaving_has(const std::string& address) const;
  std::vector<std::string> names_of(const Attachment& attachment, const Endpoint& endpoint) const;
  Status plug(const Attachment& attachment, const Endpoint& endpoint, bool default_route);
  Status move_default_route(const Attachment& attachment);
  Status take_down(const Member& member);
  Status save(const Member& member) const;
  std::string file_of(const std::string& key, bool gone) const;
  Leaver* next_leaver(const ContainerId& container);
  void erase_leaver(const std::string& key);
  // The endpoint whose network leads out, and whose address published ports lead to; nullptr: none
  // does.
  const Endpoint* outward(const Attachment& attachment) const;
  bool resolves_names(const Endpoint& endpoint) const;
  bool resolves_names(const Attachment& attachment) const;

  // --- publishing.cc ---
  Status publish(Member& member, const std::vector<PortRequest>& requests);
  Status publish_one(Member& member, const Endpoint& endpoint, const PortRequest& request);
  Result<PublishedPort> hold_any(Member& member, const PortRequest& request,
                                 const IpAddress& host_ip);
  Status hold(Member& member, const PortRequest& request, const IpAddress& host_ip,
              std::uint16_t port);
  bool port_taken(const Member& member, Protocol protocol, const IpAddress& host_ip,
                  std::uint16_t port) const;
  Status sync_rules();
  Status sync_names();
  std::map<std::string, std::string> render_name_files() const;
  Status write_names(std::map<std::string, std::string> files);
  std::vector<NetworkRules> rules_of_networks(bool* v6) const;
  std::vector<PortRule> rules_of_ports() const;

  const std::unique_ptr<HostNetwork> host_;
  const NetworksOptions options_;
  Store& store_;
  const std::string run_;  // <exec-root>/network
  const std::string tag_;  // names this daemon's chains

  mutable std::mutex mutex_;  // guards everything down to the next mutex
  std::map<NetworkId, Network> networks_;
  std::map<ContainerId, Member> members_;
  std::deque<Leaver> leavers_;
  std::map<ContainerId, std::string> namespaces_;  // current one of each container
  std::vector<std::string> stale_namespaces_;
  std::uint16_t last_ephemeral_ = 0;
  std::condition_variable left_;  // a leaver is gone

  std::mutex rules_mutex_;  // guards the host's packet filter and:
  std::string applied_v4_;
  std::string applied_v6_;
  std::mutex names_mutex_;  // guards <exec-root>/network/names and:
  std::optional<std::map<std::string, std::string>> applied_names_;
};

}  // namespace holdfast
