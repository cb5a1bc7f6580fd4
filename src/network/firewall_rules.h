#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "network/address.h"
#include "network/ports.h"

namespace holdfast {

// What the packet filter has to know of one network.
struct NetworkRules {
  std::string bridge;
  std::vector<Subnet> subnets;
  std::vector<IpAddress> gateways;
  bool internal = false;
  bool masquerade = true;
};

// One published port and where it leads.
struct PortRule {
  Protocol protocol = Protocol::kTcp;
  IpAddress host_ip;  // unspecified: every address of the host
  std::uint16_t host_port = 0;
  IpAddress target;
  std::uint16_t target_port = 0;
};

// A jump from a built-in chain to one of ours.
struct RuleJump {
  std::string table;
  std::string chain;
  std::vector<std::string> rule;
};

// The chains of one daemon, named after its `tag`, as iptables-restore --noflush takes them. They
// are always written whole, from the networks and ports there are: nothing is added to or taken
// from what is there, so that nothing can be left behind, and a published port moves from one
// container to the next in one step.
//
//   nat     HF-<tag>-DNAT  from PREROUTING and OUTPUT, for the host's own addresses: published
//   ports
//           HF-<tag>-POST  from POSTROUTING: masquerading
//   filter  HF-<tag>-IN    from INPUT: name server; nobody reaches the host's loopback through a
//   bridge
//           HF-<tag>-FWD   from FORWARD: -CON, -ISO, -OUT
//           HF-<tag>-CON   answers, and connections to published ports
//           HF-<tag>-ISO   no way from one bridge (to -ISO2) to another, none in or out of internal
//           networks HF-<tag>-OUT   out of a bridge: yes; into one: no
std::string render_rules(const std::string& tag, bool v6, const std::vector<NetworkRules>& networks,
                         const std::vector<PortRule>& ports);
std::vector<RuleJump> rule_jumps(const std::string& tag);

// Takes the chains and the jumps to them away; each table fails as a whole when something of it
// isn't there.
std::vector<std::string> render_withdrawal(const std::string& tag);

}  // namespace holdfast
