#include "network/firewall_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace holdfast {
namespace {

using Chains = std::vector<std::string_view>;

Chains chains_of(std::string_view table) {
  if (table == "nat") return {"DNAT", "POST"};
  return {"IN", "FWD", "CON", "ISO", "ISO2", "OUT"};
}

// Collects rules as "-A HF-<tag>-<chain> <rule>" lines.
class Rules {
 public:
  explicit Rules(std::string prefix) : prefix_(std::move(prefix)) {}

  void table(std::string_view name) {
    fmt::format_to(std::back_inserter(text_), "*{}\n", name);
    for (const std::string_view chain : chains_of(name))
      fmt::format_to(std::back_inserter(text_), ":{}{} - [0:0]\n", prefix_, chain);
  }
  void add(std::string_view chain, std::string_view rule) {
    fmt::format_to(std::back_inserter(text_), "-A {}{} {}\n", prefix_, chain, rule);
  }
  void commit() { text_ += "COMMIT\n"; }
  std::string name(std::string_view chain) const { return prefix_ + std::string(chain); }
  std::string take() { return std::move(text_); }

 private:
  std::string prefix_;
  std::string text_;
};

std::string chain_prefix(const std::string& tag) { return "HF-" + tag + "-"; }

std::string port_rule(const PortRule& port) {
  const std::string destination =
      port.host_ip.unspecified() ? "" : fmt::format("-d {} ", port.host_ip.str());
  const std::string target = port.target.is_v6()
                                 ? fmt::format("[{}]:{}", port.target.str(), port.target_port)
                                 : fmt::format("{}:{}", port.target.str(), port.target_port);
  return fmt::format("{}-p {} --dport {} -j DNAT --to-destination {}", destination,
                     to_string(port.protocol), port.host_port, target);
}

void add_masquerading(Rules& rules, bool v6, const NetworkRules& network) {
  const std::string& bridge = network.bridge;
  for (const Subnet& subnet : network.subnets) {
    if (subnet.base.is_v6() != v6) continue;
    if (network.masquerade)
      rules.add("POST", fmt::format("-s {} ! -o {} -j MASQUERADE", subnet.str(), bridge));
    // A container that asks for a published port of its own network: the answer has to come back by
    // way of here.
    rules.add("POST", fmt::format("-s {} -o {} -m conntrack --ctstate DNAT -j MASQUERADE",
                                  subnet.str(), bridge));
  }
  // The host asking on its loopback address.
  rules.add("POST", fmt::format("-s {} -o {} -j MASQUERADE", v6 ? "::1" : "127.0.0.0/8", bridge));
}

void add_filter(Rules& rules, bool v6, const NetworkRules& network) {
  const std::string& bridge = network.bridge;
  if (!v6)
    rules.add("IN", fmt::format("-i {} -d 127.0.0.0/8 -m conntrack ! --ctstate "
                                "RELATED,ESTABLISHED,DNAT -j DROP",
                                bridge));
  for (const IpAddress& gateway : network.gateways)
    if (gateway.is_v6() == v6)
      rules.add("IN",
                fmt::format("-i {} -d {} -p udp --dport 53 -j ACCEPT", bridge, gateway.str()));
  if (network.internal) {
    rules.add("ISO", fmt::format("-i {0} ! -o {0} -j DROP", bridge));
    rules.add("ISO", fmt::format("-o {0} ! -i {0} -j DROP", bridge));
  } else {
    rules.add("CON", fmt::format("-o {} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT",
                                 bridge));
    rules.add("ISO", fmt::format("-i {0} ! -o {0} -j {1}", bridge, rules.name("ISO2")));
  }
  rules.add("ISO2", fmt::format("-o {} -j DROP", bridge));
}

}  // namespace

std::string render_rules(const std::string& tag, bool v6, const std::vector<NetworkRules>& networks,
                         const std::vector<PortRule>& ports) {
  Rules rules(chain_prefix(tag));
  rules.table("nat");
  // The more particular address first: 127.0.0.1:80 may lead elsewhere than 192.0.2.1:80.
  for (const bool particular : {true, false})
    for (const PortRule& port : ports)
      if (port.target.is_v6() == v6 && port.host_ip.unspecified() != particular)
        rules.add("DNAT", port_rule(port));
  for (const NetworkRules& network : networks)
    if (!network.internal) add_masquerading(rules, v6, network);
  rules.commit();

  rules.table("filter");
  for (const std::string_view chain : {"CON", "ISO", "OUT"})
    rules.add("FWD", fmt::format("-j {}", rules.name(chain)));
  for (const NetworkRules& network : networks) add_filter(rules, v6, network);
  for (const NetworkRules& network : networks)
    rules.add("OUT", fmt::format("-i {} -j ACCEPT", network.bridge));
  for (const NetworkRules& network : networks)
    rules.add("OUT", fmt::format("-o {} -j DROP", network.bridge));
  rules.commit();
  return rules.take();
}

std::vector<RuleJump> rule_jumps(const std::string& tag) {
  const std::string prefix = chain_prefix(tag);
  const std::vector<std::string> local = {"-m",    "addrtype", "--dst-type",
                                          "LOCAL", "-j",       prefix + "DNAT"};
  return {{"nat", "PREROUTING", local},
          {"nat", "OUTPUT", local},
          {"nat", "POSTROUTING", {"-j", prefix + "POST"}},
          {"filter", "INPUT", {"-j", prefix + "IN"}},
          {"filter", "FORWARD", {"-j", prefix + "FWD"}}};
}

std::vector<std::string> render_withdrawal(const std::string& tag) {
  std::vector<std::string> texts;
  for (const std::string_view table : {"nat", "filter"}) {
    // Naming a chain empties it, so that the order of removal is free.
    std::string text = fmt::format("*{}\n", table), removal;
    for (const std::string_view chain : chains_of(table)) {
      text += fmt::format(":{}{} - [0:0]\n", chain_prefix(tag), chain);
      removal += fmt::format("-X {}{}\n", chain_prefix(tag), chain);
    }
    for (const RuleJump& jump : rule_jumps(tag))
      if (jump.table == table)
        text += fmt::format("-D {} {}\n", jump.chain, fmt::join(jump.rule, " "));
    texts.push_back(text + removal + "COMMIT\n");
  }
  return texts;
}

}  // namespace holdfast
