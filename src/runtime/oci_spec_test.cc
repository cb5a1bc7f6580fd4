#include "runtime/oci_spec.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "runtime/runtime.h"
#include "runtime/runtime_failure.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using Kind = ContainerNamespaces::Kind;

SpecHost test_host() {
  SpecHost host;
  host.cgroups.mode = CgroupLayout::Mode::kV2;
  host.seccomp_profile = "";
  return host;
}

ContainerSpec test_spec() {
  ContainerSpec spec;
  spec.args = {"/bin/echo", "hi"};
  spec.hostname = "box";
  spec.cgroup_path = "/holdfast/abc";
  return spec;
}

json::Object build(const ContainerSpec& spec, std::vector<std::string> stage = {},
                   const SpecHost& host = test_host()) {
  auto text = build_config(spec, host, "/root", stage);
  EXPECT_TRUE(text) << text.error().message;
  return text ? *json::parse_object(*text) : json::Object();
}

std::string at(const json::Object& object, const std::string& pointer) {
  boost::system::error_code error;
  const json::Value value(object);
  const auto* found = value.find_pointer(pointer, error);
  return found ? json::serialize(*found) : "absent";
}

std::string mount_at(const json::Object& config, const std::string& target) {
  std::string found = "absent";
  for (const auto& mount : json::array_or_empty(config, "mounts")) {
    if (json::string_or(mount.get_object(), "destination") != target) continue;
    EXPECT_EQ(found, "absent") << "two mounts at " << target;
    found = json::string_or(mount.get_object(), "source") + " " +
            json::serialize(*json::find(mount.get_object(), "options"));
  }
  return found;
}

TEST(OciSpec, ProcessIsWhatWasAsked) {
  auto spec = test_spec();
  spec.env = {"A=1"};
  spec.cwd = "/work";
  spec.user = {1000, 100, {5, 100}, "/home"};
  spec.ulimits = {{"nofile", 10, -1}};
  auto config = build(spec);
  EXPECT_EQ(at(config, "/process/args"), R"(["/bin/echo","hi"])");
  EXPECT_EQ(
      at(config, "/process/env"),
      R"(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","HOSTNAME=box","A=1"])");
  EXPECT_EQ(at(config, "/process/cwd"), R"("/work")");
  EXPECT_EQ(at(config, "/process/user"), R"({"uid":1000,"gid":100,"additionalGids":[100,5]})");
  EXPECT_EQ(at(config, "/process/rlimits"),
            R"([{"type":"RLIMIT_NOFILE","soft":10,"hard":18446744073709551615}])");
  EXPECT_EQ(at(config, "/process/capabilities/effective"), "absent");
  EXPECT_EQ(at(config, "/process/oomScoreAdj"), "0");
  EXPECT_EQ(at(build(test_spec()), "/process/rlimits"), "absent");
}

TEST(OciSpec, TerminalHasTermAndSize) {
  auto spec = test_spec();
  spec.terminal = true;
  spec.console_size = {24, 80};
  spec.env = {"PATH=/bin", "HOSTNAME=mine"};
  auto config = build(spec);
  EXPECT_EQ(at(config, "/process/env"), R"(["TERM=xterm","PATH=/bin","HOSTNAME=mine"])");
  EXPECT_EQ(at(config, "/process/consoleSize"), R"({"height":24,"width":80})");
}

TEST(OciSpec, DefaultMountsAreDockers) {
  auto config = build(test_spec());
  EXPECT_EQ(mount_at(config, "/proc"), R"(proc ["nosuid","noexec","nodev"])");
  EXPECT_EQ(mount_at(config, "/dev"), R"(tmpfs ["nosuid","strictatime","mode=755","size=65536k"])");
  EXPECT_EQ(mount_at(config, "/sys"), R"(sysfs ["nosuid","noexec","nodev","ro"])");
  EXPECT_EQ(mount_at(config, "/sys/fs/cgroup"), R"(cgroup ["ro","nosuid","noexec","nodev"])");
  EXPECT_EQ(mount_at(config, "/dev/shm"),
            R"(shm ["nosuid","noexec","nodev","mode=1777","size=67108864"])");
  EXPECT_EQ(at(config, "/linux/maskedPaths/0"), R"("/proc/asound")");
  EXPECT_EQ(at(config, "/linux/readonlyPaths/3"), R"("/proc/sys")");
  EXPECT_EQ(at(config, "/linux/resources/devices/0"), R"({"allow":false,"access":"rwm"})");
  auto host = test_host();
  host.cgroups.mode = CgroupLayout::Mode::kNone;
  EXPECT_EQ(mount_at(build(test_spec(), {}, host), "/sys/fs/cgroup"), "absent");
}

TEST(OciSpec, OwnMountsComeLaterAndReplaceDefaults) {
  auto root = open_file("/", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(root);
  auto spec = test_spec();
  spec.mounts = {{"/data/deep/er", "tmpfs", "tmpfs", {"size=1m"}},
                 {"/dev/shm", "tmpfs", "tmpfs", {"size=2m"}},
                 {"/data", "", "", {"rslave"}, *root},
                 {"/plain", "bind", "/host", {"ro"}}};
  auto config = build(spec, {"/stage/0", "/stage/1", "/stage/2", "/stage/3"});
  EXPECT_EQ(mount_at(config, "/dev/shm"), R"(tmpfs ["size=2m"])");
  EXPECT_EQ(mount_at(config, "/plain"), R"(/host ["rbind","ro","rprivate"])");
  EXPECT_THAT(mount_at(config, "/data"), HasSubstr(R"(/stage/2 ["rbind","rslave")"));
  const auto& mounts = json::array_or_empty(config, "mounts");
  EXPECT_EQ(json::string_or(mounts.back().get_object(), "destination"), "/data/deep/er");
  EXPECT_EQ(at(config, "/linux/rootfsPropagation"), R"("rslave")");
}

TEST(OciSpec, PrivilegedIsUnconfined) {
  auto spec = test_spec();
  spec.privileged = true;
  auto host = test_host();
  host.device_directory = "/dev";
  host.seccomp_profile = "/usr/share/containers/seccomp.json";
  auto config = build(spec, {}, host);
  EXPECT_EQ(mount_at(config, "/sys"), R"(sysfs ["nosuid","noexec","nodev","rw"])");
  EXPECT_EQ(at(config, "/linux/maskedPaths"), "absent");
  EXPECT_EQ(at(config, "/linux/seccomp"), "absent");
  EXPECT_EQ(at(config, "/linux/resources/devices"), R"([{"allow":true,"access":"rwm"}])");
  EXPECT_THAT(at(config, "/linux/devices"), HasSubstr(R"("path":"/dev/null")"));
}

TEST(OciSpec, NamespacesFollowTheChoices) {
  auto spec = test_spec();
  spec.namespaces.network = {Kind::kPath, "/run/netns/x"};
  spec.namespaces.pid.kind = Kind::kHost;
  spec.namespaces.uts.kind = Kind::kHost;
  spec.namespaces.cgroup.kind = Kind::kHost;
  spec.init = true;  // of no use where pid 1 is the host's
  auto config = build(spec);
  EXPECT_EQ(at(config, "/linux/namespaces"),
            R"([{"type":"mount"},{"type":"network","path":"/run/netns/x"},{"type":"ipc"}])");
  EXPECT_EQ(at(config, "/hostname"), "absent");
  EXPECT_EQ(at(config, "/process/args/0"), R"("/bin/echo")");
  EXPECT_EQ(at(config, "/linux/sysctl/net.ipv4.ip_unprivileged_port_start"), R"("0")");
  spec.namespaces.network.borrowed = true;
  EXPECT_EQ(at(build(spec), "/linux/sysctl"), "{}");
}

TEST(OciSpec, InitComesFirst) {
  auto spec = test_spec();
  spec.init = true;
  auto config = build(spec);
  EXPECT_EQ(at(config, "/process/args"), R"(["/sbin/docker-init","--","/bin/echo","hi"])");
  EXPECT_EQ(mount_at(config, "/sbin/docker-init"),
            R"(/usr/bin/docker-init ["bind","ro","rprivate"])");
  auto host = test_host();
  host.init_program = "";
  EXPECT_FALSE(build_config(spec, host, "/root", {}));
}

TEST(OciSpec, ResourcesAreOnlyThoseAsked) {
  auto spec = test_spec();
  EXPECT_EQ(at(build(spec), "/linux/resources/memory"), "absent");
  spec.resources.memory = 1 << 20;
  spec.resources.memory_swap = 2 << 20;
  spec.resources.cpu_quota = 50000;
  spec.resources.cpuset_cpus = "0-1";
  spec.resources.pids = 10;
  auto config = build(spec);
  EXPECT_EQ(at(config, "/linux/resources/memory"), R"({"limit":1048576,"swap":2097152})");
  EXPECT_EQ(at(config, "/linux/resources/cpu"), R"({"quota":50000,"cpus":"0-1"})");
  EXPECT_EQ(at(config, "/linux/resources/pids"), R"({"limit":10})");
  auto host = test_host();
  host.swap_limit = false;
  EXPECT_EQ(
      build_resources(spec.resources, host),
      R"({"memory":{"limit":1048576},"cpu":{"quota":50000,"cpus":"0-1"},"pids":{"limit":10}})");
}

TEST(OciSpec, DevicesAndRules) {
  auto spec = test_spec();
  spec.devices = {{"/dev/null", "/dev/nothing", "r"}};
  spec.device_cgroup_rules = {"c 10:* rm"};
  auto config = build(spec);
  EXPECT_THAT(at(config, "/linux/devices/0"),
              HasSubstr(R"({"path":"/dev/nothing","type":"c","major":1,"minor":3,)"));
  const auto& rules = json::array_or_empty(
      json::object_or_empty(json::object_or_empty(config, "linux"), "resources"), "devices");
  ASSERT_GE(rules.size(), 2U);
  EXPECT_EQ(json::serialize(rules[rules.size() - 2]),
            R"({"allow":true,"type":"c","major":1,"minor":3,"access":"r"})");
  EXPECT_EQ(json::serialize(rules.back()), R"({"allow":true,"type":"c","major":10,"access":"rm"})");
  for (const char* bad : {"", "x 1:2 r", "c 1 r", "c 1:2", "c 1:2 x", "c a:b rwm", "c 1:2 rwmr"}) {
    spec.device_cgroup_rules = {bad};
    EXPECT_FALSE(build_config(spec, test_host(), "/root", {})) << bad;
  }
  spec.device_cgroup_rules.clear();
  spec.devices = {{"/dev/nosuch", "", ""}};
  EXPECT_EQ(
      build_config(spec, test_host(), "/root", {}).error().message,
      "error gathering device information while adding custom device \"/dev/nosuch\": no such "
      "file or directory");
  spec.devices = {{"/etc/passwd", "", ""}};
  EXPECT_THAT(build_config(spec, test_host(), "/root", {}).error().message,
              HasSubstr("not a device node"));
}

TEST(OciSpec, CapabilitiesAreAddedAndDropped) {
  auto names = effective_capabilities({}, {}, false);
  ASSERT_TRUE(names);
  EXPECT_EQ(names->size(), 14U);
  EXPECT_EQ(names->front(), "CAP_CHOWN");
  EXPECT_EQ(*effective_capabilities({"net_admin"}, {"ALL"}, false),
            std::vector<std::string>{"CAP_NET_ADMIN"});
  auto most = effective_capabilities({"all"}, {"CAP_CHOWN"}, false);
  EXPECT_EQ(most->front(), "CAP_DAC_OVERRIDE");
  EXPECT_GT(most->size(), 30U);
  EXPECT_EQ(effective_capabilities({}, {"CHOWN", "KILL"}, false)->size(), 12U);
  EXPECT_EQ(effective_capabilities({"nosuch"}, {}, false).error().message,
            "invalid CapAdd: unknown capability: \"CAP_NOSUCH\"");
  EXPECT_EQ(effective_capabilities({}, {"nosuch"}, true).error().message,
            "invalid CapDrop: unknown capability: \"CAP_NOSUCH\"");
}

TEST(OciSpec, ExecInheritsFromItsContainer) {
  auto spec = test_spec();
  spec.env = {"A=1", "B=2"};
  auto config = build_config(spec, test_host(), "/root", {});
  ASSERT_TRUE(config);
  ExecSpec exec;
  exec.args = {"sh"};
  exec.env = {"B=3", "C=4"};
  auto process = json::parse_object(*build_exec_process(exec, *config));
  ASSERT_TRUE(process);
  EXPECT_THAT(at(*process, "/env"), HasSubstr(R"("HOSTNAME=box","A=1","B=3","C=4"])"));
  EXPECT_EQ(at(*process, "/cwd"), R"("/")");
  EXPECT_EQ(at(*process, "/args"), R"(["sh"])");
  EXPECT_EQ(at(*process, "/capabilities/effective/0"), R"("CAP_CHOWN")");
  exec.user = ContainerUser{5, 6, {}, "/"};
  process = json::parse_object(*build_exec_process(exec, *config));
  EXPECT_EQ(at(*process, "/user/uid"), "5");
  EXPECT_EQ(at(*process, "/capabilities/effective"), "absent");
}

TEST(RuntimeFailure, SpeaksAsDockerDoes) {
  struct Case {
    const char* output;
    const char* reason;
    int exit_code;
  };
  for (const Case& test : std::initializer_list<Case>{
           {"executable file `x` not found in $PATH: No such file or directory\n",
            "exec: \"x\": executable file not found in $PATH", 127},
           {"executable file `/x` not found in $PATH: No such file or directory\n",
            "exec: \"/x\": stat /x: no such file or directory", 127},
           {"open executable: Permission denied\n", "exec: \"cmd\": permission denied", 126},
           {"open executable: Operation not permitted", "exec: \"cmd\": is a directory", 126},
           {"chdir `/etc/x`: Not a directory\n",
            "chdir to cwd (\"/etc/x\") set in config.json failed: not a directory", 126},
           {"time=\"t\" level=warning msg=\"w\"\ntime=\"t\" level=error msg=\"runc create failed: "
            "unable to start container process: exec: \\\"x\\\": executable file not found in "
            "$PATH\"\n",
            "exec: \"x\": executable file not found in $PATH", 127},
           {"something else", "something else", 128}}) {
    auto error = describe_runtime_failure(RuntimeStep::kCreate, test.output, "cmd");
    EXPECT_EQ(error.message,
              fmt::format("failed to create task for container: failed to create shim task: OCI "
                          "runtime create failed: runc create failed: unable to start container "
                          "process: error during container init: {}: unknown",
                          test.reason));
    EXPECT_EQ(start_failure_exit_code(error), test.exit_code) << test.output;
  }
  auto mount = describe_runtime_failure(RuntimeStep::kCreate,
                                        "mount `/src` to `etc/dst`: Not a directory", "cmd");
  EXPECT_THAT(mount.message,
              HasSubstr("error mounting \"/src\" to rootfs at \"etc/dst\": not a directory: "
                        "unknown: Are you trying to mount a directory onto a file"));
  EXPECT_EQ(mount.code, Code::kInvalidArgument);
  EXPECT_EQ(start_failure_exit_code(mount), 127);
}

}  // namespace
}  // namespace holdfast
