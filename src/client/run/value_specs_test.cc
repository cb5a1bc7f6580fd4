#include "client/run/value_specs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace holdfast::client {
namespace {

using ::testing::ElementsAre;

TEST(ValueSpecs, Cpus) {
  EXPECT_EQ(parse_cpus("1.5").value(), 1'500'000'000);
  EXPECT_EQ(parse_cpus("1/2").value(), 500'000'000);
  EXPECT_EQ(parse_cpus(".25").value(), 250'000'000);
  EXPECT_EQ(parse_cpus("1.5.5").error().message, "failed to parse 1.5.5 as a rational number");
  EXPECT_EQ(parse_cpus("0.0000000001").error().message, "value is too precise");
  EXPECT_FALSE(parse_cpus(""));
  EXPECT_FALSE(parse_cpus("-1"));
  EXPECT_FALSE(parse_cpus("1/0"));
}

TEST(ValueSpecs, Ulimits) {
  EXPECT_EQ(json::serialize(parse_ulimit("nofile=1024:2048").value()),
            R"({"Name":"nofile","Hard":2048,"Soft":1024})");
  EXPECT_EQ(json::serialize(parse_ulimit("core=-1").value()),
            R"({"Name":"core","Hard":-1,"Soft":-1})");
  EXPECT_EQ(parse_ulimit("foo").error().message, "invalid ulimit argument: foo");
  EXPECT_EQ(parse_ulimit("nofoo=3").error().message, "invalid ulimit type: nofoo");
  EXPECT_EQ(parse_ulimit("nofile=5:3").error().message,
            "ulimit soft limit must be less than or equal to hard limit: 5 > 3");
}

TEST(ValueSpecs, Devices) {
  EXPECT_EQ(json::serialize(parse_device("/dev/a:/dev/b:r").value()),
            R"({"PathOnHost":"/dev/a","PathInContainer":"/dev/b","CgroupPermissions":"r"})");
  EXPECT_EQ(json::serialize(parse_device("/dev/a:rw").value()),
            R"({"PathOnHost":"/dev/a","PathInContainer":"/dev/a","CgroupPermissions":"rw"})");
  EXPECT_EQ(parse_device("/dev/a:b:foo").error().message, "bad mode specified: foo");
  EXPECT_EQ(parse_device("foo:bar").error().message, "bar is not an absolute path");
  EXPECT_EQ(json::serialize(parse_device_rate("/dev/sda:1mb", true).value()),
            R"({"Path":"/dev/sda","Rate":1048576})");
  EXPECT_EQ(parse_device_rate("foo", true).error().message, "bad format: foo");
}

TEST(ValueSpecs, RestartPolicies) {
  EXPECT_EQ(json::serialize(parse_restart_policy("on-failure:3").value()),
            R"({"Name":"on-failure","MaximumRetryCount":3})");
  EXPECT_EQ(parse_restart_policy("foo:x").error().message,
            "invalid restart policy format: maximum retry count must be an integer");
  EXPECT_EQ(parse_restart_policy(":3").error().message,
            "invalid restart policy format: no policy provided before colon");
}

TEST(ValueSpecs, ExtraHosts) {
  EXPECT_EQ(parse_extra_host("db=10.0.0.1").value(), "db:10.0.0.1");
  EXPECT_EQ(parse_extra_host("db:[::1]").value(), "db:::1");
  EXPECT_EQ(parse_extra_host("db:host-gateway").value(), "db:host-gateway");
  EXPECT_EQ(parse_extra_host("foo").error().message, "bad format for add-host: \"foo\"");
  EXPECT_EQ(parse_extra_host("foo:bar").error().message, "invalid IP address in add-host: \"bar\"");
}

TEST(ValueSpecs, Environment) {
  ::setenv("HOLDFAST_TEST_VALUE", "here", 1);
  EXPECT_EQ(resolve_environment("HOLDFAST_TEST_VALUE"), "HOLDFAST_TEST_VALUE=here");
  EXPECT_EQ(resolve_environment("HOLDFAST_TEST_ABSENT"), "HOLDFAST_TEST_ABSENT");
  EXPECT_EQ(check_environment("=x").error().message, "invalid environment variable: =x");
  char path[] = "/tmp/holdfast-env-XXXXXX";
  ::close(::mkstemp(path));
  std::ofstream(path) << "# comment\n\nA=1 2\r\n  B=\nHOLDFAST_TEST_VALUE\nHOLDFAST_TEST_ABSENT\n";
  EXPECT_THAT(read_pairs_file(path, true).value(),
              ElementsAre("A=1 2", "B=", "HOLDFAST_TEST_VALUE=here"));
  std::ofstream(path) << "A B=1\n";
  EXPECT_EQ(read_pairs_file(path, true).error().message, "variable 'A B' contains whitespaces");
  std::filesystem::remove(path);
  EXPECT_EQ(read_pairs_file("/nonexist", true).error().message,
            "open /nonexist: no such file or directory");
}

TEST(ValueSpecs, Capabilities) {
  EXPECT_THAT(normal_capabilities({"net_admin", "CAP_KILL", "all", "kill"}),
              ElementsAre("ALL", "CAP_KILL", "CAP_NET_ADMIN"));
}

}  // namespace
}  // namespace holdfast::client
