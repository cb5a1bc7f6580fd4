#include "runtime/seccomp_profile.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr const char* kProfile = R"({
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
  "archMap": [
    {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
    {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
  "syscalls": [
    {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]},
    {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {"arches": ["amd64", "x32"]}},
    {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
    {"names": ["chroot"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_CHROOT"]}, "errnoRet": 1, "errno": "EPERM"},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}]})";

std::vector<std::string> names_of(const json::Object& seccomp) {
  std::vector<std::string> names;
  for (const auto& rule : json::array_or_empty(seccomp, "syscalls")) {
    auto list = json::strings_or_empty(rule.get_object(), "names");
    std::string action = json::string_or(rule.get_object(), "action").substr(9);
    for (const auto& name : list) names.push_back(name + " " + action);
  }
  return names;
}

TEST(SeccompProfile, KeepsTheRulesThatApply) {
  auto with = translate_seccomp(kProfile, {"CAP_SYS_CHROOT"}, "amd64", "6.1.0-13-amd64");
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_EQ(names_of(*with),
            (std::vector<std::string>{"read ALLOW", "write ALLOW", "personality ALLOW",
                                      "arch_prctl ALLOW", "chroot ALLOW", "ptrace ALLOW"}));
  auto without = translate_seccomp(kProfile, {}, "arm64", "4.4.1");
  ASSERT_TRUE(without);
  EXPECT_EQ(names_of(*without), (std::vector<std::string>{"read ALLOW", "write ALLOW",
                                                          "personality ALLOW", "chroot ERRNO"}));
}

TEST(SeccompProfile, IsAnOciObject) {
  auto result = translate_seccomp(kProfile, {}, "amd64", "6.1");
  ASSERT_TRUE(result);
  EXPECT_EQ(json::serialize(*json::find(*result, "architectures")),
            R"(["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"])");
  EXPECT_EQ(json::int_or(*result, "defaultErrnoRet"), 38);
  EXPECT_FALSE(result->contains("archMap"));
  EXPECT_FALSE(result->contains("defaultErrno"));
  const auto& rules = json::array_or_empty(*result, "syscalls");
  EXPECT_EQ(json::serialize(rules[0]), R"({"names":["read","write"],"action":"SCMP_ACT_ALLOW"})");
  EXPECT_EQ(json::serialize(rules[1]),
            R"({"names":["personality"],"action":"SCMP_ACT_ALLOW","args":)"
            R"([{"index":0,"value":8,"valueTwo":0,"op":"SCMP_CMP_EQ"}]})");
  EXPECT_EQ(json::serialize(rules[3]),
            R"({"names":["chroot"],"action":"SCMP_ACT_ERRNO","errnoRet":1})");
}

TEST(SeccompProfile, RefusesWhatIsNone) {
  EXPECT_FALSE(translate_seccomp("not json", {}, "amd64", "6.1"));
  EXPECT_FALSE(translate_seccomp("{}", {}, "amd64", "6.1"));
  EXPECT_FALSE(translate_seccomp(R"({"defaultAction": "A", "syscalls": [1]})", {}, "amd64", "6.1"));
  EXPECT_FALSE(translate_seccomp(R"({"defaultAction": "A", "syscalls": [{"action": "B"}]})", {},
                                 "amd64", "6.1"));
  EXPECT_FALSE(
      translate_seccomp(R"({"defaultAction": "A", "archMap": ["x"]})", {}, "amd64", "6.1"));
}

}  // namespace
}  // namespace holdfast
