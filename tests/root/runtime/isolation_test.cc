#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ROOT_Isolation : public RuntimeTest {};

TEST_P(ROOT_Isolation, BindsDetachedMounts) {
  std::filesystem::create_directories(path("source"));
  ASSERT_TRUE(write_file_atomic(path("source/file"), "content", 0644, false));
  auto source = open_file(path("source"), O_PATH | O_DIRECTORY);
  ASSERT_TRUE(source);
  auto writable = DetachedMount::clone(*source, "", true);
  auto read_only = DetachedMount::clone(*source, "", true);
  auto one_file = DetachedMount::clone(*source, "file", true);
  ASSERT_TRUE(writable && read_only && one_file);
  MountAttributes attributes;
  attributes.read_only = true;
  ASSERT_TRUE(read_only->set(attributes));
  auto container = shell(
      "cat /data/file /etc/one; echo; echo new > /data/made; echo no > /ro/made || echo refused");
  container.mounts = {{"/ro", "", "", {}, read_only->root()},
                      {"/etc/one", "", "", {}, one_file->root()},
                      {"/data", "", "", {}, writable->root()}};
  auto outcome = run(container);
  EXPECT_EQ(outcome.out, "contentcontent\nrefused\n");
  EXPECT_EQ(read_file(path("source/made")).value_or(""), "new\n");
}

TEST_P(ROOT_Isolation, NothingIsMountedForTheHost) {
  auto id = start_idle();
  EXPECT_EQ(own_mounts(), std::vector<std::string>());
  ASSERT_TRUE(runtime_->remove(id));
  EXPECT_EQ(own_mounts(), std::vector<std::string>());
}

TEST_P(ROOT_Isolation, DefaultsAreDockers) {
  auto outcome =
      run(shell("grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; cat "
                "/proc/sys/kernel/hostname;"
                "mount | grep -c ' /sys type sysfs (ro'; ls /dev | tr '\\n' ' '; echo;"
                "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; echo x > "
                "/proc/sys/kernel/hostname || echo ro;"
                "cat /proc/kcore | wc -c; echo $PATH; echo $HOME; id -G"));
  EXPECT_THAT(outcome.out, HasSubstr("CapEff:\t00000000a80425fb\nSeccomp:\t2\nbox\n1\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" null "));
  EXPECT_THAT(outcome.out,
              HasSubstr("\n0\nro\n0\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                        "/root\n0\n"))
      << outcome.err;
}

// crun's compiled filter is kept and handed to later containers.
TEST_P(ROOT_Isolation, SecondContainerIsFilteredLikeTheFirst) {
  const char* script = "grep Seccomp: /proc/self/status; unshare -U true && echo allowed";
  auto container = shell(script);
  container.seccomp.kind = SeccompChoice::Kind::kProfile;
  container.seccomp.profile = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
      {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
       "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]})";
  auto first = run(container);
  auto second = run(container);
  EXPECT_EQ(first.out, "Seccomp:\t2\n");
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(second.err, first.err);
  auto wider = container;
  wider.cap_add = {"SYS_ADMIN"};
  EXPECT_EQ(run(wider).out, "Seccomp:\t2\nallowed\n");
  // Sessions are filtered too, by the filter of their container.
  auto idle = container;
  idle.args = {"/bin/sleep", "1000"};
  auto id = new_id();
  ASSERT_TRUE(create(id, idle));
  ASSERT_TRUE(runtime_->start(id));
  ExecSpec exec;
  exec.args = {"/bin/sh", "-c", script};
  EXPECT_EQ(run_exec(id, exec).out, first.out);
}

TEST_P(ROOT_Isolation, UserHasNoCapabilities) {
  auto container = shell("id -u; grep CapEff /proc/self/status; echo $HOME");
  container.user = *resolve_user("someone", {}, rootfs_);
  auto outcome = run(container);
  EXPECT_EQ(outcome.out, "1000\nCapEff:\t0000000000000000\n/home/someone\n");
}

TEST_P(ROOT_Isolation, PrivilegedHasAll) {
  auto container = shell(
      "grep Seccomp: /proc/self/status; mount -t tmpfs none /data && echo mounted;"
      "mount | grep ' /sys type sysfs'; ls /dev/loop-control /dev/kmsg");
  container.privileged = true;
  auto outcome = run(container);
  EXPECT_THAT(outcome.out, HasSubstr("Seccomp:\t0\nmounted\n"));
  EXPECT_THAT(outcome.out, HasSubstr("/sys type sysfs (rw"));
  EXPECT_THAT(outcome.out, HasSubstr("/dev/kmsg"));
}

TEST_P(ROOT_Isolation, ReadOnlyRootWithTmpfs) {
  auto container =
      shell("touch /x || echo refused; touch /tmp/x && echo fine; df -k /tmp /dev/shm");
  container.read_only_root = true;
  container.shm_size = 1 << 20;
  container.mounts = {{"/tmp", "tmpfs", "tmpfs", {"nosuid", "nodev", "noexec", "size=64k"}}};
  auto outcome = run(container);
  EXPECT_THAT(outcome.out, HasSubstr("refused\nfine\n"));
  EXPECT_THAT(outcome.out, HasSubstr(" 64 "));
  EXPECT_THAT(outcome.out, HasSubstr(" 1024 "));
}

TEST_P(ROOT_Isolation, InitReapsAndPassesTheCodeOn) {
  if (runtime_->init_program().empty()) GTEST_SKIP() << "no docker-init";
  auto container = shell("cat /proc/1/cmdline | tr '\\0' ' '; exit 9");
  container.init = true;
  auto outcome = run(container);
  EXPECT_THAT(outcome.out, HasSubstr("/sbin/docker-init -- /bin/sh"));
  EXPECT_EQ(outcome.exit.code, 9);
}

TEST_P(ROOT_Isolation, SysctlsUlimitsAndDomain) {
  auto container = shell(
      "cat /proc/sys/net/core/somaxconn; ulimit -n; hostname -d; dnsdomainname;"
      "cat /proc/sys/kernel/domainname; cat /proc/self/oom_score_adj");
  container.sysctls = {{"net.core.somaxconn", "777"}};
  container.ulimits = {{"nofile", 123, 456}};
  container.domainname = "example.test";
  container.oom_score_adj = 321;
  auto outcome = run(container);
  EXPECT_THAT(outcome.out, HasSubstr("777\n123\n"));
  EXPECT_THAT(outcome.out, HasSubstr("example.test\n321\n"));
}

TEST_P(ROOT_Isolation, CgroupsAreSeenReadOnly) {
  auto outcome =
      run(shell("ls /sys/fs/cgroup; mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x;"
                "mount | grep cgroup | grep -v '(ro'; cat /proc/self/cgroup"));
  EXPECT_THAT(outcome.err, HasSubstr("Read-only file system"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("type cgroup")));
  EXPECT_THAT(outcome.out, HasSubstr("/holdfast-test/"));
}

// A source on a shared mount: what the host mounts beneath it shows inside as rslave and rshared
// say.
class ROOT_Propagation : public RuntimeTest {
 protected:
  void SetUp() override {
    RuntimeTest::SetUp();
    if (IsSkipped()) return;
    leaves_host_mounts_ = true;
    std::filesystem::create_directories(path("shared"));
    ASSERT_EQ(::mount("shared", path("shared").c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(::mount(nullptr, path("shared").c_str(), nullptr, MS_SHARED, nullptr), 0);
    std::filesystem::create_directories(path("shared/sub"));
    std::filesystem::create_directories(path("shared/back"));
  }
  void TearDown() override {
    for (const char* name : {"shared/sub", "shared/back", "shared"}) {
      if (!directory_.empty()) ::umount2(path(name).c_str(), MNT_DETACH);
    }
    RuntimeTest::TearDown();
  }

  // What a container sees of a mount made on the host while it runs, and the host of one made
  // inside.
  void expect(const std::string& option, bool seen_inside, bool seen_outside) {
    auto source = open_file(path("shared"), O_PATH | O_DIRECTORY);
    ASSERT_TRUE(source);
    auto tree = DetachedMount::clone(*source, "", true);
    ASSERT_TRUE(tree);
    auto container = shell(
        "echo ready; read a; ls /data/sub; mount -t tmpfs none /data/back; touch /data/back/inside;"
        "echo mounted; read b");
    container.privileged = true;
    container.mounts = {{"/data", "", "", {"rbind", option}, tree->root()}};
    auto id = new_id();
    auto created = create(id, container, true);
    ASSERT_TRUE(created) << created.error().message;
    auto ended = watch(created->monitor);
    auto stream = AttachStream::connect(runtime_->container_directory(id));
    ASSERT_TRUE(stream);
    ASSERT_TRUE(runtime_->start(id));
    std::string output;
    ASSERT_TRUE(read_until(*stream, "ready", output));
    ASSERT_EQ(::mount("late", path("shared/sub").c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_TRUE(write_file_atomic(path("shared/sub/outside"), "", 0644, false));
    ASSERT_EQ(stream->write("\n").value_or(0), 1U);
    ASSERT_TRUE(read_until(*stream, "mounted", output));
    EXPECT_EQ(output.find("outside") != std::string::npos, seen_inside) << output;
    EXPECT_EQ(file_exists(path("shared/back/inside")), seen_outside);
    ASSERT_TRUE(stream->close_stdin());
    wait(ended);
  }
};

TEST_P(ROOT_Propagation, PrivateSeesNothing) { expect("rprivate", false, false); }
TEST_P(ROOT_Propagation, SlaveSeesTheHost) { expect("rslave", true, false); }
TEST_P(ROOT_Propagation, SharedSeesEachOther) { expect("rshared", true, true); }

TEST_P(ROOT_Isolation, SharedMemoryOfAnotherContainer) {
  auto id = new_id();
  auto created = create(id, shell("echo word > /dev/shm/file; echo ready; sleep 1000"));
  ASSERT_TRUE(created) << created.error().message;
  auto stream = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(stream);
  ASSERT_TRUE(runtime_->start(id));
  std::string output;
  ASSERT_TRUE(read_until(*stream, "ready", output));
  auto shm = runtime_->clone_mount(id, "/dev/shm");
  ASSERT_TRUE(shm) << shm.error().message;
  auto container = shell("cat /dev/shm/file; touch /dev/shm/by-other");
  auto ipc = runtime_->namespace_path(id, "ipc");
  ASSERT_TRUE(ipc);
  container.namespaces.ipc = {ContainerNamespaces::Kind::kPath, *ipc, true};
  container.mounts = {{"/dev/shm", "", "", {}, *shm}};
  EXPECT_EQ(run(container).out, "word\n");
  auto root = runtime_->open_root(id);
  ASSERT_TRUE(root);
  EXPECT_TRUE(open_file_at(*root, "dev/shm/by-other", O_RDONLY));
}

TEST_P(ROOT_Isolation, ExecRootMayBeOnASharedMount) {
  std::filesystem::create_directories(path("shared"));
  ASSERT_EQ(::mount("shared", path("shared").c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(::mount(nullptr, path("shared").c_str(), nullptr, MS_SHARED, nullptr), 0);
  auto before = own_mounts();
  EXPECT_EQ(before.size(), 1U);
  leaves_host_mounts_ = true;
  {
    RuntimeOptions options;
    options.exec_root = path("shared/run");
    options.default_runtime = GetParam();
    options.cgroup_parent = "/holdfast-test";
    auto runtime = Runtime::open(options);
    ASSERT_TRUE(runtime) << runtime.error().message;
    auto id = new_id();
    auto wanted = request(id, spec({"/bin/sleep", "1000"}));
    auto created = (*runtime)->create(wanted);
    ASSERT_TRUE(created) << created.error().message;
    EXPECT_TRUE((*runtime)->start(id));
    EXPECT_EQ(own_mounts(), before);
    EXPECT_TRUE((*runtime)->remove(id));
    EXPECT_EQ(own_mounts(), before);
  }
  EXPECT_EQ(::umount2(path("shared").c_str(), 0), 0);
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ROOT_Isolation, ::testing::ValuesIn(installed_runtimes()),
                         [](const auto& info) { return std::string(info.param); });
INSTANTIATE_TEST_SUITE_P(Runtimes, ROOT_Propagation, ::testing::ValuesIn(installed_runtimes()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace holdfast
