#include "client/run/port_spec.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

std::string publish(std::string_view text) {
  PortMap ports;
  auto status = add_published_port(text, ports);
  return status ? json::serialize(ports.bindings) : status.error().message;
}

TEST(PortSpec, PublishesEveryForm) {
  EXPECT_EQ(publish("80"), R"({"80/tcp":[{"HostIp":"","HostPort":""}]})");
  EXPECT_EQ(publish("8080:80"), R"({"80/tcp":[{"HostIp":"","HostPort":"8080"}]})");
  EXPECT_EQ(publish("127.0.0.1:8080:80/UDP"),
            R"({"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]})");
  EXPECT_EQ(publish("127.0.0.1::80"), R"({"80/tcp":[{"HostIp":"127.0.0.1","HostPort":""}]})");
  EXPECT_EQ(publish("[::1]:8080:80"), R"({"80/tcp":[{"HostIp":"::1","HostPort":"8080"}]})");
  EXPECT_EQ(
      publish("8000-8001:80-81"),
      R"({"80/tcp":[{"HostIp":"","HostPort":"8000"}],"81/tcp":[{"HostIp":"","HostPort":"8001"}]})");
  EXPECT_EQ(publish("8000-8009:80"), R"({"80/tcp":[{"HostIp":"","HostPort":"8000-8009"}]})");
}

TEST(PortSpec, RefusesInDockersWords) {
  EXPECT_EQ(publish("foo"), "invalid containerPort: foo");
  EXPECT_EQ(publish("80:foo"), "invalid containerPort: foo");
  EXPECT_EQ(publish("1.2.3:80:80"), "invalid IP address: 1.2.3");
  EXPECT_EQ(publish("70000:80"), "invalid hostPort: 70000");
  EXPECT_EQ(publish("80-82:90-91"),
            "invalid ranges specified for container and host Ports: 90-91 and 80-82");
  EXPECT_EQ(publish("80/foo"), "invalid proto: foo");
  PortMap ports;
  EXPECT_EQ(add_exposed_port("80:80", ports).error().message,
            "invalid port format for --expose: 80:80");
  EXPECT_FALSE(add_exposed_port("a", ports));
}

TEST(PortSpec, ExposesRanges) {
  PortMap ports;
  ASSERT_TRUE(add_exposed_port("80-81/udp", ports));
  EXPECT_EQ(json::serialize(ports.exposed), R"({"80/udp":{},"81/udp":{}})");
  EXPECT_TRUE(ports.bindings.empty());
}

}  // namespace
}  // namespace holdfast::client
