#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "fixture.h"

namespace holdfast {
namespace {

class ROOT_Takeover : public RuntimeTest {};

// A process that creates and starts the container and then is killed like a daemon.
pid_t fork_creator(const std::function<bool()>& create_and_start) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  pid_t pid = ::fork();
  if (pid == 0) {
    char word = create_and_start() ? 'y' : 'n';
    if (::write(ends[1], &word, 1) == 1) ::pause();
    ::_exit(1);
  }
  ::close(ends[1]);
  char word = 0;
  EXPECT_EQ(::read(ends[0], &word, 1), 1);
  EXPECT_EQ(word, 'y');
  ::close(ends[0]);
  return pid;
}

TEST_P(ROOT_Takeover, OutlivesItsCreatorAndKeepsItsExitCode) {
  auto id = new_id();
  pid_t creator = fork_creator([&] {
    return create(id, shell("echo started; read a; exit 42"), true) && runtime_->start(id);
  });
  ASSERT_EQ(::kill(creator, SIGKILL), 0);
  ASSERT_EQ(::waitpid(creator, nullptr, 0), creator);
  RuntimeOptions options;
  options.exec_root = path("run");
  options.default_runtime = GetParam();
  options.cgroup_parent = "/holdfast-test";
  auto later = Runtime::open(options);
  ASSERT_TRUE(later);
  auto ids = (*later)->list();
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, std::vector<ContainerId>{id});
  auto directory = (*later)->container_directory(id);
  auto monitor = (*later)->find_monitor(directory);
  ASSERT_TRUE(monitor) << monitor.error().message;
  EXPECT_TRUE((*later)->find_process(id));
  auto ended = watch(*monitor);
  auto stream = AttachStream::connect(directory);
  ASSERT_TRUE(stream) << stream.error().message;
  ASSERT_EQ(stream->write("\n").value_or(0), 1U);
  auto exit = wait(ended);
  EXPECT_EQ(exit.code, 42);
  EXPECT_FALSE(exit.lost);
  EXPECT_NE(read_file(path(id.str() + ".log")).value_or("").find("started"), std::string::npos);
}

// The next daemon ends what is in the group.
TEST_P(ROOT_Takeover, KilledWhileItWroteTheGroupDownItTakesNobodyElsesForIt) {
  auto id = new_id();
  auto directory = runtime_->container_directory(id);
  ASSERT_TRUE(make_directories(directory, 0700));
  std::string whole = "/holdfast-test/" + id.str();
  for (const std::string& written : {std::string(), std::string("/"), std::string("/holdfast-test"),
                                     whole.substr(0, whole.size() - 1)}) {
    ASSERT_TRUE(write_file_atomic(directory + "/cgroup", written, 0600, false));
    EXPECT_FALSE(runtime_->processes(id)) << written;
  }
  ASSERT_TRUE(write_file_atomic(directory + "/cgroup", whole, 0600, false));
  EXPECT_EQ(runtime_->processes(id).value_or(std::vector<pid_t>{1}), std::vector<pid_t>{});
  std::filesystem::remove_all(directory);
}

TEST_P(ROOT_Takeover, EndedMeanwhileIsToldFromItsFiles) {
  auto id = new_id();
  pid_t creator = fork_creator([&] {
    auto created = create(id, shell("exit 43"));
    if (!created) return false;
    auto pidfd = open_process(created->monitor.pid, created->monitor.start_time);
    if (!pidfd || !runtime_->start(id)) return false;
    auto ended = watch(created->monitor);
    return wait(ended).code == 43;
  });
  ASSERT_EQ(::kill(creator, SIGKILL), 0);
  ASSERT_EQ(::waitpid(creator, nullptr, 0), creator);
  auto directory = runtime_->container_directory(id);
  EXPECT_FALSE(runtime_->find_monitor(directory));
  EXPECT_EQ(read_exit_record(directory).code, 43);
  // A record of a process that is gone leads to the same.
  auto ended = watch({creator, 1, directory});
  EXPECT_EQ(wait(ended).code, 43);
}

TEST_P(ROOT_Takeover, KilledMonitorIsToldAndItsContainerCanBeEnded) {
  auto id = start_idle();
  auto directory = runtime_->container_directory(id);
  auto monitor = runtime_->find_monitor(directory);
  ASSERT_TRUE(monitor);
  auto pid = runtime_->find_process(id);
  ASSERT_TRUE(pid);
  auto ended = watch(*monitor);
  ASSERT_EQ(::kill(monitor->pid, SIGKILL), 0);
  auto exit = wait(ended);
  EXPECT_TRUE(exit.lost);
  EXPECT_EQ(exit.code, 137);
  EXPECT_TRUE(runtime_->find_process(id));  // it still runs, without stdio
  ASSERT_TRUE(runtime_->remove(id));
  EXPECT_FALSE(runtime_->processes(id));
}

TEST_P(ROOT_Takeover, MonitorIsInASessionOfItsOwn) {
  auto id = start_idle();
  auto monitor = runtime_->find_monitor(runtime_->container_directory(id));
  ASSERT_TRUE(monitor);
  EXPECT_EQ(::getsid(monitor->pid), monitor->pid);
  auto groups = read_file(fmt::format("/proc/{}/cgroup", monitor->pid)).value_or("");
  EXPECT_NE(groups.find("/holdfast-test/monitors"), std::string::npos) << groups;
}

// By a trial on the first start, by what that one found on the next.
TEST_P(ROOT_Takeover, RuntimeIsChosenByTrialOnce) {
  RuntimeOptions options;
  options.exec_root = path("other");
  auto first = Runtime::open(options);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ((*first)->name(), installed_runtimes().front());
  EXPECT_NE((*first)->version(), "");
  EXPECT_TRUE(std::filesystem::is_empty(path("other/tmp")));
  auto kept = read_file(path("other/runtime/choice.json"));
  ASSERT_TRUE(kept);
  // A choice that was made of another program is not believed.
  auto stale = *kept;
  stale.replace(stale.find("fingerprint\":\"") + 14, 1, "x");
  ASSERT_TRUE(write_file_atomic(path("other/runtime/choice.json"), stale, 0600, false));
  ASSERT_TRUE(Runtime::open(options));
  EXPECT_EQ(read_file(path("other/runtime/choice.json")).value_or(""), *kept);
}

TEST_P(ROOT_Takeover, UnusableLogIsTheMonitorsError) {
  auto id = new_id();
  auto wanted = request(id, spec({"/bin/true"}));
  wanted.log_path = path("no/such/directory/log");
  auto created = runtime_->create(wanted);
  ASSERT_FALSE(created);
  EXPECT_NE(created.error().message.find("Failed to open log file"), std::string::npos)
      << created.error().message;
  EXPECT_EQ(created.error().message.find("OCI runtime"), std::string::npos);
  EXPECT_FALSE(file_exists(runtime_->container_directory(id)));
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ROOT_Takeover, ::testing::ValuesIn(installed_runtimes()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace holdfast
