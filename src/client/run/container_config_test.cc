#include "client/run/container_config.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

// The value at a path such as "HostConfig.Binds" of what the arguments make, or the error.
std::string config(std::vector<std::string> arguments, std::string_view path) {
  ContainerOptions options;
  FlagSet flags;
  options.add_to(flags);
  auto rest = flags.parse(arguments, true);
  if (!rest) return rest.error().message;
  if (rest->empty()) rest->push_back("busybox");
  auto made = make_container_config(options, (*rest)[0], {rest->begin() + 1, rest->end()});
  if (!made) return made.error().message;
  json::Value value = *made;
  while (!path.empty()) {
    auto dot = path.find('.');
    const json::Value* member = value.get_object().if_contains(path.substr(0, dot));
    if (!member) return "absent";
    value = json::Value(*member);
    path = dot == std::string_view::npos ? "" : path.substr(dot + 1);
  }
  return json::serialize(value);
}

TEST(ContainerConfig, SplitsVolumesAsDockersClient) {
  EXPECT_EQ(config({"-v", "data:/d:ro", "-v", "/h:/e"}, "HostConfig.Binds"),
            R"(["data:/d:ro","/h:/e"])");
  EXPECT_EQ(config({"-v", "/anonymous"}, "Volumes"), R"({"/anonymous":{}})");
  EXPECT_EQ(config({"--mount", "type=tmpfs,dst=/t"}, "HostConfig.Mounts"),
            R"([{"Type":"tmpfs","Target":"/t"}])");
  EXPECT_EQ(config({"--tmpfs", "/t:size=1m", "--tmpfs", "/u"}, "HostConfig.Tmpfs"),
            R"({"/t":"size=1m","/u":""})");
}

TEST(ContainerConfig, AttachesByDefaultAndOnRequest) {
  EXPECT_EQ(config({}, "AttachStdout"), "true");
  EXPECT_EQ(config({}, "AttachStdin"), "false");
  EXPECT_EQ(config({"-i"}, "AttachStdin"), "true");
  EXPECT_EQ(config({"-i"}, "StdinOnce"), "true");
  EXPECT_EQ(config({"-a", "stderr"}, "AttachStdout"), "false");
  EXPECT_EQ(config({"-a", "foo"}, ""),
            "invalid argument \"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT "
            "and STDERR");
}

TEST(ContainerConfig, CarriesProcessAndLimits) {
  EXPECT_EQ(config({"img", "sh", "-c", "x"}, "Cmd"), R"(["sh","-c","x"])");
  EXPECT_EQ(config({"img"}, "Cmd"), "absent");
  EXPECT_EQ(config({"--entrypoint", ""}, "Entrypoint"), R"([""])");
  EXPECT_EQ(config({"-m", "64m"}, "HostConfig.Memory"), "67108864");
  EXPECT_EQ(config({"--memory-swap", "-1"}, "HostConfig.MemorySwap"), "-1");
  EXPECT_EQ(config({"--cpus", "1.5"}, "HostConfig.NanoCpus"), "1500000000");
  EXPECT_EQ(config({"--cap-add", "net_admin", "--cap-drop", "ALL"}, "HostConfig.CapAdd"),
            R"(["CAP_NET_ADMIN"])");
  EXPECT_EQ(config({"--init"}, "HostConfig.Init"), "true");
  EXPECT_EQ(config({}, "HostConfig.Init"), "absent");
  EXPECT_EQ(config({"--health-cmd", "true", "--health-interval", "2s"}, "Healthcheck"),
            R"({"Test":["CMD-SHELL","true"],"Interval":2000000000})");
  EXPECT_EQ(config({"--security-opt", "systempaths=unconfined"}, "HostConfig.MaskedPaths"), "[]");
}

TEST(ContainerConfig, JoinsNetworks) {
  EXPECT_EQ(config({}, "HostConfig.NetworkMode"), R"("default")");
  EXPECT_EQ(config({"--network", "foo", "--network-alias", "z", "--ip", "1.2.3.4"},
                   "NetworkingConfig.EndpointsConfig"),
            R"({"foo":{"Aliases":["z"],"IPAMConfig":{"IPv4Address":"1.2.3.4"}}})");
  EXPECT_EQ(config({"--network", "name=foo,alias=a,driver-opt=k=v", "--network", "bar"},
                   "NetworkingConfig.EndpointsConfig"),
            R"({"foo":{"Aliases":["a"],"DriverOpts":{"k":"v"}},"bar":{}})");
  EXPECT_EQ(config({"--link", "db:d"}, "HostConfig.Links"), R"(["db:d"])");
  EXPECT_EQ(config({"--network", "host", "--network-alias", "z"}, ""),
            "network-scoped aliases are only supported for user-defined networks");
  EXPECT_EQ(config({"--network", "alias=a"}, ""),
            "invalid argument \"alias=a\" for \"--network\" flag: network name/id is not "
            "specified");
}

TEST(ContainerConfig, RefusesWhatDoesNotGoTogether) {
  EXPECT_EQ(config({"--rm", "--restart", "always"}, ""),
            "conflicting options: cannot specify both --restart and --rm");
  EXPECT_EQ(config({"--no-healthcheck", "--health-cmd", "x"}, ""),
            "--no-healthcheck conflicts with --health-* options");
  EXPECT_EQ(config({"--health-interval=-1s", "--health-cmd", "x"}, ""),
            "--health-interval cannot be negative");
  EXPECT_EQ(config({"--memory-swappiness", "500"}, ""),
            "invalid value: 500. Valid memory swappiness range is 0-100");
  EXPECT_EQ(config({"--pid", "foo"}, ""), "--pid: invalid PID mode");
  EXPECT_EQ(config({"--security-opt", "foo"}, ""), "Invalid --security-opt: \"foo\"");
  EXPECT_EQ(config({"--log-driver", "none", "--log-opt", "a=b"}, ""),
            "invalid logging opts for driver none");
  EXPECT_EQ(config({"--mac-address", "foo"}, ""), "foo is not a valid mac address");
  EXPECT_EQ(config({"--storage-opt", "a"}, ""), "invalid storage option");
  EXPECT_EQ(config({"--sysctl", "a"}, ""),
            "invalid argument \"a\" for \"--sysctl\" flag: sysctl 'a' is not allowed");
}

}  // namespace
}  // namespace holdfast::client
