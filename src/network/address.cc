#include "network/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace holdfast {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address;
  const std::string terminated(text);
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) == 1) return address;
  address.v6_ = true;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) == 1) return address;
  return std::nullopt;
}

std::string IpAddress::str() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6_ ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof text);
  return text;
}

IpAddress IpAddress::plus(std::uint64_t distance) const {
  IpAddress sum = *this;
  std::uint64_t carry = distance;
  for (int i = bits() / 8 - 1; i >= 0 && carry != 0; --i) {
    auto& byte = sum.bytes_[static_cast<std::size_t>(i)];
    const std::uint64_t total = byte + (carry & 0xff);
    byte = static_cast<std::uint8_t>(total & 0xff);
    carry = (carry >> 8) + (total >> 8);
  }
  return sum;
}

IpAddress IpAddress::first_of(int prefix) const {
  IpAddress masked = *this;
  for (int bit = prefix; bit < bits(); ++bit)
    masked.bytes_[static_cast<std::size_t>(bit / 8)] &=
        static_cast<std::uint8_t>(~(0x80 >> (bit % 8)));
  return masked;
}

IpAddress IpAddress::last_of(int prefix) const {
  IpAddress filled = *this;
  for (int bit = prefix; bit < bits(); ++bit)
    filled.bytes_[static_cast<std::size_t>(bit / 8)] |=
        static_cast<std::uint8_t>(0x80 >> (bit % 8));
  return filled;
}

bool IpAddress::unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::loopback() const {
  if (!v6_) return bytes_[0] == 127;
  return *this == *parse("::1");
}

std::optional<std::pair<IpAddress, Subnet>> Subnet::parse_interface(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const std::string_view digits = text.substr(slash + 1);
  int prefix = -1;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), prefix);
  if (error != std::errc() || end != digits.end() || prefix < 0 || prefix > address->bits())
    return std::nullopt;
  return std::pair(*address, Subnet{address->first_of(prefix), prefix});
}

std::optional<Subnet> Subnet::parse(std::string_view text) {
  const auto parsed = parse_interface(text);
  if (!parsed) return std::nullopt;
  return parsed->second;
}

bool Subnet::contains(const IpAddress& address) const {
  return address.is_v6() == base.is_v6() && address.first_of(prefix) == base;
}

bool Subnet::contains(const Subnet& other) const {
  return other.prefix >= prefix && contains(other.base);
}

bool Subnet::overlaps(const Subnet& other) const {
  return contains(other) || other.contains(*this);
}

std::string Subnet::str() const { return fmt::format("{}/{}", base.str(), prefix); }

}  // namespace holdfast
