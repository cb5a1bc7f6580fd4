#include "network/address.h"

#include <gtest/gtest.h>

#include "network/address_space.h"
#include "network/networks.h"

namespace holdfast {
namespace {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
Subnet net(const char* text) { return *Subnet::parse(text); }

TEST(IpAddress, parses_both_families_and_prints_them_back) {
  for (const char* text : {"0.0.0.0", "10.213.1.2", "255.255.255.255", "::", "::1", "fd00::1:2"})
    EXPECT_EQ(ip(text).str(), text);
  for (const char* text : {"", "1.2.3", "1.2.3.256", "1.2.3.4/5", "fd00:::1", "host"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, adds_across_bytes) {
  EXPECT_EQ(ip("10.0.0.255").plus(1), ip("10.0.1.0"));
  EXPECT_EQ(ip("10.0.0.1").plus(65536 + 255), ip("10.1.1.0"));
  EXPECT_EQ(ip("255.255.255.255").plus(1), ip("0.0.0.0"));
  EXPECT_EQ(ip("fd00::ffff").plus(1), ip("fd00::1:0"));
}

TEST(Subnet, parses_and_bounds) {
  EXPECT_EQ(net("10.1.2.3/20").str(), "10.1.0.0/20");
  EXPECT_EQ(net("10.1.2.3/20").last(), ip("10.1.15.255"));
  EXPECT_EQ(net("0.0.0.0/0").last(), ip("255.255.255.255"));
  for (const char* text : {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x"})
    EXPECT_FALSE(Subnet::parse(text)) << text;
}

TEST(Subnet, overlaps_only_what_it_shares_addresses_with) {
  EXPECT_TRUE(net("10.0.0.0/8").overlaps(net("10.9.0.0/16")));
  EXPECT_TRUE(net("10.9.0.0/16").overlaps(net("10.0.0.0/8")));
  EXPECT_FALSE(net("10.9.0.0/16").overlaps(net("10.8.0.0/16")));
  EXPECT_FALSE(net("::/0").overlaps(net("10.8.0.0/16")));
}

TEST(AddressSpace, gives_out_lowest_first_and_reuses_what_was_released) {
  AddressSpace space(net("10.0.0.0/29"), net("10.0.0.0/29"));
  space.hold(ip("10.0.0.1"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.2"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.3"));
  space.release(ip("10.0.0.2"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.2"));
}

TEST(AddressSpace, ends_before_the_broadcast_address) {
  AddressSpace space(net("10.0.0.0/30"), net("10.0.0.0/30"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.1"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.2"));
  EXPECT_FALSE(space.take_any());
}

TEST(AddressSpace, chooses_within_its_range_but_honours_requests_outside) {
  AddressSpace space(net("10.0.0.0/24"), net("10.0.0.128/25"));
  EXPECT_EQ(*space.take_any(), ip("10.0.0.128"));
  EXPECT_TRUE(space.take(ip("10.0.0.7")));
  EXPECT_EQ(space.take(ip("10.0.0.7")).error().message, "Address already in use");
  EXPECT_EQ(space.take(ip("10.0.1.7")).error().code, Code::kInvalidArgument);
  EXPECT_EQ(space.take(ip("10.0.0.255")).error().code, Code::kInvalidArgument);
}

TEST(FreeSubnet, passes_over_what_is_used) {
  const std::vector<AddressPool> pools = {{"172.18.0.0/16", 16}, {"192.168.0.0/16", 20}};
  EXPECT_EQ(free_subnet(pools, {}, false)->str(), "172.18.0.0/16");
  EXPECT_EQ(free_subnet(pools, {net("172.18.5.0/24")}, false)->str(), "192.168.0.0/20");
  EXPECT_EQ(free_subnet(pools, {net("172.16.0.0/12"), net("192.168.1.0/24")}, false)->str(),
            "192.168.16.0/20");
  EXPECT_EQ(free_subnet(pools, {net("172.16.0.0/12"), net("192.168.0.0/19")}, false)->str(),
            "192.168.32.0/20");
  EXPECT_FALSE(free_subnet(pools, {net("172.16.0.0/12"), net("192.168.0.0/16")}, false));
  EXPECT_FALSE(free_subnet(pools, {}, true));
}

TEST(FreeSubnet, stops_at_the_end_of_the_address_family) {
  EXPECT_FALSE(free_subnet({{"255.255.255.0/24", 25}}, {net("255.255.255.0/24")}, false));
}

}  // namespace
}  // namespace holdfast
