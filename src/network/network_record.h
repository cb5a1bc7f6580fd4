#pragma once

#include <string>
#include <vector>

#include "network/address_space.h"
#include "network/networks.h"

namespace holdfast {

// One subnet of a network with its addresses.
struct AddressPlan {
  AddressSpace space;
  IpAddress gateway;
};

// A network as it is kept: what was asked for with every choice made.
struct NetworkRecord {
  NetworkId id;
  NetworkSpec spec;  // ipam: complete, one entry a subnet
  Time created{};
  std::string bridge;   // interface; empty for host and none
  bool chosen = false;  // whether the subnets were our choice
  bool predefined() const;

  std::string document() const;
  static Result<NetworkRecord> parse(const std::string& document);
  // GET /networks/{id} but for Containers.
  json::Object to_json() const;

  std::string option(const std::string& key) const;  // "" if it isn't set
  bool option_on(const std::string& key) const;      // set and true as Go's ParseBool has it
  int mtu() const;
};

inline constexpr const char* kOptionName = "com.docker.network.bridge.name";
inline constexpr const char* kOptionMtu = "com.docker.network.driver.mtu";
inline constexpr const char* kOptionIcc = "com.docker.network.bridge.enable_icc";
inline constexpr const char* kOptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade";

// Checks IPAM.Config as dockerd does, all complaints in one error: "invalid network config:\n…".
Status check_ipam(const std::vector<IpamConfig>& configs, bool v6);

// The addresses of complete configs: gateway (the first address unless given) and auxiliary ones
// set apart; fills the gateway in.
Result<std::vector<AddressPlan>> plan_addresses(std::vector<IpamConfig>& configs);

}  // namespace holdfast
