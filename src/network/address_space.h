#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "network/address.h"

namespace holdfast {

// The addresses of one subnet: which are taken, which is next. Given out lowest first, as Docker
// does. Not thread-safe: Networks guards it.
class AddressSpace {
 public:
  // Addresses are chosen from `range`, a part of `subnet`; any of `subnet` may be asked for by
  // name. The network's own address and, for IPv4, the broadcast address are never given out.
  AddressSpace(Subnet subnet, Subnet range) : subnet_(subnet), range_(range) {}

  const Subnet& subnet() const { return subnet_; }
  const Subnet& range() const { return range_; }

  // The lowest free address. kInternal with Docker's words when there is none.
  Result<IpAddress> take_any();
  // kPermissionDenied: taken; kInvalidArgument: not of this subnet.
  Status take(const IpAddress& address);
  // Sets an address apart for good or again; whether it was taken doesn't matter.
  void hold(const IpAddress& address) { taken_.insert(address); }
  void release(const IpAddress& address) { taken_.erase(address); }

 private:
  bool usable(const IpAddress& address) const;

  Subnet subnet_;
  Subnet range_;
  std::set<IpAddress> taken_;
};

// The first piece of the pools that overlaps none of `used`; kInvalidArgument with Docker's words
// when they are used up. `v6` picks the pools' family.
struct AddressPool;
Result<Subnet> free_subnet(const std::vector<AddressPool>& pools, const std::vector<Subnet>& used,
                           bool v6);

// Docker's pools: 172.17-31.0.0/16 and 192.168.0.0/16 in pieces of /20.
std::vector<AddressPool> default_address_pools();

}  // namespace holdfast
