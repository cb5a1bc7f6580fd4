#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// An IPv4 or IPv6 address; plain value.
class IpAddress {
 public:
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v6() const { return v6_; }
  int bits() const { return v6_ ? 128 : 32; }
  std::string str() const;

  // The first bits() / 8 bytes, most significant first.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  // The address `distance` further on; wraps around at the end of the family.
  IpAddress plus(std::uint64_t distance) const;
  // The first `prefix` bits kept, the others cleared or set.
  IpAddress first_of(int prefix) const;
  IpAddress last_of(int prefix) const;
  bool unspecified() const;
  bool loopback() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  bool v6_ = false;
  std::array<std::uint8_t, 16> bytes_{};
};

// A network in CIDR form: its first address and the length of its prefix.
struct Subnet {
  IpAddress base;
  int prefix = 0;

  // "10.1.2.0/24"; bits after the prefix are kept out of `base`.
  static std::optional<Subnet> parse(std::string_view text);
  // "10.1.2.3/24" as an address and the network around it.
  static std::optional<std::pair<IpAddress, Subnet>> parse_interface(std::string_view text);

  IpAddress first() const { return base; }
  IpAddress last() const { return base.last_of(prefix); }
  bool contains(const IpAddress& address) const;
  bool contains(const Subnet& other) const;
  bool overlaps(const Subnet& other) const;
  std::string str() const;

  friend auto operator<=>(const Subnet&, const Subnet&) = default;
};

}  // namespace holdfast
