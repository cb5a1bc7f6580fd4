#include "engine/container_config.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

json::Object object(std::string_view text) { return *json::parse_object(text); }

std::string refusal(std::string_view body) {
  auto config = parse_container_config(object(body), {"crun"});
  return config ? "" : config.error().message;
}

TEST(ContainerConfig, FillsInDockersDefaults) {
  auto config = parse_container_config(object(R"({"Image":"x","Unknown":1})"), {"crun"});
  ASSERT_TRUE(config);
  EXPECT_EQ(json::string_or(config->host_config, "NetworkMode"), "bridge");
  EXPECT_EQ(json::string_or(config->host_config, "Runtime"), "crun");
  EXPECT_EQ(json::int_or(config->host_config, "ShmSize"), 67108864);
  EXPECT_EQ(json::string_or(json::object_or_empty(config->host_config, "RestartPolicy"), "Name"),
            "no");
  EXPECT_FALSE(config->config.contains("Unknown"));
}

TEST(ContainerConfig, RefusesInDockersWords) {
  EXPECT_EQ(refusal("{}"), "config cannot be empty in order to create a container");
  EXPECT_EQ(refusal(R"({"Image":"x","HostConfig":{"Memory":1024}})"),
            "Minimum memory limit allowed is 6MB");
  EXPECT_EQ(
      refusal(
          R"({"Image":"x","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}})"),
      "can't create 'AutoRemove' container with restart policy");
  EXPECT_EQ(refusal(R"({"Image":"x","HostConfig":{"IpcMode":"nonsense"}})"),
            "invalid IPC mode: nonsense");
  EXPECT_EQ(refusal(R"({"Image":"x","Env":["=y"]})"), "invalid environment variable: =y");
  EXPECT_EQ(refusal(R"({"Image":"x","WorkingDir":"rel"})"),
            "the working directory 'rel' is invalid, it needs to be an absolute path");
  EXPECT_EQ(refusal(R"({"Image":"x","Healthcheck":{"Interval":1}})"),
            "Interval in Healthcheck cannot be less than 1ms");
  EXPECT_EQ(refusal(R"({"Image":"x","HostConfig":{"LogConfig":{"Type":"smoke"}}})"),
            "logger: no log driver named 'smoke' is registered");
  EXPECT_EQ(refusal(R"({"Image":"x","HostConfig":{"Runtime":"magic"}})"),
            "unknown or invalid runtime name: magic");
  EXPECT_EQ(refusal(R"({"Image":"x","HostConfig":{"UsernsMode":"nonsense"}})"),
            "invalid USER mode: nonsense");
  EXPECT_NE(refusal(R"({"Image":"x","HostConfig":{"StorageOpt":{"size":"1g"}}})"), "");
  EXPECT_NE(refusal(R"({"Image":"x","Tty":"yes"})"), "");
}

json::Object merged(std::string_view config, std::string_view image) {
  auto result = object(config);
  EXPECT_TRUE(merge_image_config(result, object(image)));
  return result;
}

TEST(MergeImageConfig, CommandAndEntrypoint) {
  const char* image = R"({"Entrypoint":["/e"],"Cmd":["a","b"]})";
  auto plain = merged("{}", image);
  EXPECT_EQ(json::strings_or_empty(plain, "Cmd").size(), 2u);
  EXPECT_EQ(json::strings_or_empty(plain, "Entrypoint")[0], "/e");
  // An entrypoint of one's own drops the image's command; an empty one drops the image's
  // entrypoint, too.
  auto own = merged(R"({"Entrypoint":["/mine"]})", image);
  EXPECT_TRUE(json::strings_or_empty(own, "Cmd").empty());
  auto reset = merged(R"({"Entrypoint":[""],"Cmd":["c"]})", image);
  EXPECT_TRUE(json::strings_or_empty(reset, "Entrypoint").empty());
  auto nothing = object("{}");
  auto status = merge_image_config(nothing, object("{}"));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "no command specified");
}

TEST(MergeImageConfig, OwnVariablesWin) {
  auto result = merged(R"({"Env":["A=1"],"Cmd":["x"],"Labels":{"l":"own"}})",
                       R"({"Env":["A=0","B=2"],"Labels":{"l":"img","m":"n"}})");
  EXPECT_EQ(json::strings_or_empty(result, "Env"), (std::vector<std::string>{"A=1", "B=2"}));
  auto labels = json::string_map_or_empty(result, "Labels");
  EXPECT_EQ(labels["l"], "own");
  EXPECT_EQ(labels["m"], "n");
}

TEST(MergeUpdate, ZeroLeavesAFieldAndFailureLeavesAll) {
  auto config = parse_container_config(
      object(R"({"Image":"x","HostConfig":{"Memory":67108864,"MemorySwap":134217728}})"), {"crun"});
  ASSERT_TRUE(config);
  auto host_config = config->host_config;
  ASSERT_TRUE(merge_update(host_config, object(R"({"Memory":0,"CpuShares":512})")));
  EXPECT_EQ(json::int_or(host_config, "Memory"), 67108864);
  EXPECT_EQ(json::int_or(host_config, "CpuShares"), 512);
  auto before = host_config;
  EXPECT_FALSE(merge_update(host_config, object(R"({"Memory":1073741824})")));
  EXPECT_EQ(host_config, before);
}

}  // namespace
}  // namespace holdfast
