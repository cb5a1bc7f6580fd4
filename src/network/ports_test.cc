#include "network/ports.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

Result<std::vector<PortRequest>> parse(std::string_view text) {
  return parse_port_bindings(*json::parse_object(text));
}

TEST(ContainerPort, reads_number_and_protocol) {
  EXPECT_EQ(ContainerPort::parse("80")->str(), "80/tcp");
  EXPECT_EQ(ContainerPort::parse("53/udp")->str(), "53/udp");
  EXPECT_EQ(ContainerPort::parse("80/")->str(), "80/tcp");  // as Docker does
  for (const char* text : {"", "0", "x", "65536", "80/icmp", "-1", "80x/tcp"})
    EXPECT_FALSE(ContainerPort::parse(text)) << text;
}

TEST(PortBindings, reads_fixed_free_and_ranged_ports) {
  const auto requests = parse(R"({"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}],
      "81/udp":[{"HostIp":"","HostPort":""}],"82/tcp":null,"83/tcp":[{"HostPort":"8000-8010"}]})");
  ASSERT_TRUE(requests) << requests.error().message;
  ASSERT_EQ(requests->size(), 4u);
  EXPECT_EQ((*requests)[0].host_ip, "127.0.0.1");
  EXPECT_EQ((*requests)[0].first, 8080);
  EXPECT_EQ((*requests)[0].last, 8080);
  EXPECT_EQ((*requests)[1].port.protocol, Protocol::kUdp);
  EXPECT_EQ((*requests)[1].first, 0);
  EXPECT_EQ((*requests)[2].first, 0);
  EXPECT_EQ((*requests)[3].first, 8000);
  EXPECT_EQ((*requests)[3].last, 8010);
}

TEST(PortBindings, refuses_bad_input_with_the_words_clients_know) {
  EXPECT_EQ(parse(R"({"80/tcp":[{"HostPort":"http"}]})").error().message,
            "invalid port specification: \"http\"");
  EXPECT_EQ(parse(R"({"80/tcp":[{"HostPort":"9-8"}]})").error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse(R"({"80/tcp":[{"HostPort":"70000"}]})").error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse(R"({"80/tcp":[{"HostIp":"localhost"}]})").error().message,
            "invalid IP address: localhost");
  EXPECT_EQ(parse(R"({"80/tcp":[7]})").error().code, Code::kInvalidArgument);
  EXPECT_EQ(parse(R"({"80/icmp":[]})").error().message, "invalid proto: icmp");
}

TEST(PortsJson, has_the_shape_of_network_settings) {
  const std::vector<PublishedPort> published = {{{80, Protocol::kTcp}, "0.0.0.0", 8080}};
  EXPECT_EQ(json::serialize(ports_json({"80/tcp", "443"}, published)),
            R"({"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"443/tcp":null})");
  EXPECT_EQ(json::serialize(ports_summary_json({"80/tcp", "443"}, published)),
            R"([{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},)"
            R"({"PrivatePort":443,"Type":"tcp"}])");
}

}  // namespace
}  // namespace holdfast
