#include "image/changes.h"

#include <gtest/gtest.h>

namespace holdfast::image {
namespace {

std::string applied(const std::vector<std::string>& changes, json::Object config = {}) {
  auto status = apply_changes(config, changes);
  return status ? json::serialize(config) : "error: " + status.error().message;
}

TEST(Changes, commands_in_both_forms) {
  EXPECT_EQ(applied({R"(CMD ["a", "b c"])"}), R"({"Cmd":["a","b c"]})");
  EXPECT_EQ(applied({"cmd echo hi"}), R"({"Cmd":["/bin/sh","-c","echo hi"]})");
  EXPECT_EQ(applied({"ENTRYPOINT [not json"}), R"({"Entrypoint":["/bin/sh","-c","[not json"]})");
}

TEST(Changes, env_replaces_and_adds) {
  json::Object config{{"Env", json::Array{"PATH=/bin", "A=1"}}};
  EXPECT_EQ(applied({"ENV A=2 B='x y' C=\"q\\\"q\"", "ENV D the rest of it"}, config),
            R"({"Env":["PATH=/bin","A=2","B=x y","C=q\"q","D=the rest of it"]})");
  EXPECT_EQ(applied({"ENV A"}), "error: ENV must have two arguments");
  EXPECT_EQ(applied({"ENV A=1 B"}),
            "error: Syntax error - can't find = in \"B\". Must be of the form: name=value");
}

TEST(Changes, the_other_instructions) {
  EXPECT_EQ(applied({"LABEL a=b \"c d\"=e"}), R"({"Labels":{"a":"b","c d":"e"}})");
  EXPECT_EQ(applied({"EXPOSE 80 53/udp 7000-7001"}),
            R"({"ExposedPorts":{"80/tcp":{},"53/udp":{},"7000/tcp":{},"7001/tcp":{}}})");
  EXPECT_EQ(applied({"VOLUME /a /b", R"(VOLUME ["/c"])"}),
            R"({"Volumes":{"/a":{},"/b":{},"/c":{}}})");
  EXPECT_EQ(applied({"WORKDIR /a/b", "WORKDIR ../c"}), R"({"WorkingDir":"/a/c"})");
  EXPECT_EQ(applied({"USER 1:2", "STOPSIGNAL SIGINT", "ONBUILD RUN x"}),
            R"({"User":"1:2","StopSignal":"SIGINT","OnBuild":["RUN x"]})");
  EXPECT_EQ(applied({"HEALTHCHECK --interval=5s --retries=3 CMD curl x"}),
            R"({"Healthcheck":{"Interval":5000000000,"Retries":3,"Test":["CMD-SHELL","curl x"]}})");
  EXPECT_EQ(applied({"HEALTHCHECK NONE"}), R"({"Healthcheck":{"Test":["NONE"]}})");
}

TEST(Changes, refuses_what_is_no_change) {
  EXPECT_EQ(applied({"RUN rm -rf /"}), "error: run is not a valid change command");
  EXPECT_EQ(applied({"FROM x"}), "error: from is not a valid change command");
  EXPECT_EQ(applied({"CMD"}), "error: CMD requires at least one argument");
  EXPECT_EQ(applied({"EXPOSE abc"}), "error: invalid containerPort: abc");
  EXPECT_EQ(applied({"HEALTHCHECK --interval=x CMD a"}), "error: time: invalid duration \"x\"");
}

}  // namespace
}  // namespace holdfast::image
