#include "network/address_space.h"

#include <algorithm>

#include "network/networks.h"

namespace holdfast {

bool AddressSpace::usable(const IpAddress& address) const {
  // A /31 or /32 (/127, /128) has no addresses to spare (RFC 3021).
  if (subnet_.prefix >= subnet_.base.bits() - 1) return true;
  if (address == subnet_.first()) return false;
  return address.is_v6() || address != subnet_.last();
}

Result<IpAddress> AddressSpace::take_any() {
  const IpAddress last = range_.last();
  // Every round but the last meets a taken or unusable address, so this ends soon even in a /64.
  for (IpAddress address = range_.first();; address = address.plus(1)) {
    if (usable(address) && taken_.insert(address).second) return address;
    if (address == last) break;
  }
  return fail(Code::kInternal, "no available IPv{} addresses on this network's address pools",
              subnet_.base.is_v6() ? 6 : 4);
}

Status AddressSpace::take(const IpAddress& address) {
  if (!subnet_.contains(address) || !usable(address))
    return fail(Code::kInvalidArgument, "no configured subnet contains IP address {}",
                address.str());
  if (!taken_.insert(address).second)
    return fail(Code::kPermissionDenied, "Address already in use");
  return {};
}

Result<Subnet> free_subnet(const std::vector<AddressPool>& pools, const std::vector<Subnet>& used,
                           bool v6) {
  for (const AddressPool& pool : pools) {
    const auto base = Subnet::parse(pool.base);
    if (!base || base->base.is_v6() != v6 || pool.size < base->prefix) continue;
    Subnet piece{base->base, pool.size};
    while (base->contains(piece)) {
      const auto clash = std::find_if(used.begin(), used.end(),
                                      [&](const Subnet& one) { return one.overlaps(piece); });
      if (clash == used.end()) return piece;
      // On past whichever of the two ends later; a wrap past the family's end leaves the pool.
      const IpAddress end = std::max(clash->last(), piece.last());
      piece.base = end.plus(1);
      if (piece.base < end) break;
    }
  }
  return fail(Code::kInvalidArgument, "all predefined address pools have been fully subnetted");
}

std::vector<AddressPool> default_address_pools() {
  std::vector<AddressPool> pools;
  for (int second = 17; second <= 31; ++second)
    pools.push_back({fmt::format("172.{}.0.0/16", second), 16});
  pools.push_back({"192.168.0.0/16", 20});
  return pools;
}

}  // namespace holdfast
