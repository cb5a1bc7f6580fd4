#include "network/firewall_rules.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

TEST(FirewallRules, render_every_chain_whole) {
  const std::vector<NetworkRules> networks = {
      {"hf0", {*Subnet::parse("10.213.0.0/24")}, {ip("10.213.0.1")}, false, true},
      {"in0", {*Subnet::parse("10.213.1.0/24")}, {ip("10.213.1.1")}, true, true}};
  const std::vector<PortRule> ports = {
      {Protocol::kTcp, ip("0.0.0.0"), 8080, ip("10.213.0.2"), 80},
      {Protocol::kUdp, ip("127.0.0.1"), 53, ip("10.213.0.3"), 5353},
      {Protocol::kTcp, ip("::"), 8080, ip("fd00::2"), 80}};
  EXPECT_EQ(render_rules("t", false, networks, ports),
            R"(*nat
:HF-t-DNAT - [0:0]
:HF-t-POST - [0:0]
-A HF-t-DNAT -d 127.0.0.1 -p udp --dport 53 -j DNAT --to-destination 10.213.0.3:5353
-A HF-t-DNAT -p tcp --dport 8080 -j DNAT --to-destination 10.213.0.2:80
-A HF-t-POST -s 10.213.0.0/24 ! -o hf0 -j MASQUERADE
-A HF-t-POST -s 10.213.0.0/24 -o hf0 -m conntrack --ctstate DNAT -j MASQUERADE
-A HF-t-POST -s 127.0.0.0/8 -o hf0 -j MASQUERADE
COMMIT
*filter
:HF-t-IN - [0:0]
:HF-t-FWD - [0:0]
:HF-t-CON - [0:0]
:HF-t-ISO - [0:0]
:HF-t-ISO2 - [0:0]
:HF-t-OUT - [0:0]
-A HF-t-FWD -j HF-t-CON
-A HF-t-FWD -j HF-t-ISO
-A HF-t-FWD -j HF-t-OUT
-A HF-t-IN -i hf0 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A HF-t-IN -i hf0 -d 10.213.0.1 -p udp --dport 53 -j ACCEPT
-A HF-t-CON -o hf0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
-A HF-t-ISO -i hf0 ! -o hf0 -j HF-t-ISO2
-A HF-t-ISO2 -o hf0 -j DROP
-A HF-t-IN -i in0 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A HF-t-IN -i in0 -d 10.213.1.1 -p udp --dport 53 -j ACCEPT
-A HF-t-ISO -i in0 ! -o in0 -j DROP
-A HF-t-ISO -o in0 ! -i in0 -j DROP
-A HF-t-ISO2 -o in0 -j DROP
-A HF-t-OUT -i hf0 -j ACCEPT
-A HF-t-OUT -i in0 -j ACCEPT
-A HF-t-OUT -o hf0 -j DROP
-A HF-t-OUT -o in0 -j DROP
COMMIT
)");
}

TEST(FirewallRules, chain_names_fit_what_iptables_takes) {
  for (const RuleJump& jump : rule_jumps("01234567")) EXPECT_LE(jump.rule.back().size(), 28u);
}

}  // namespace
}  // namespace holdfast
