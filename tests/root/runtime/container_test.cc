#include <gmock/gmock.h>
#include <signal.h>

#include "fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class ROOT_Container : public RuntimeTest {};

TEST_P(ROOT_Container, ReportsExitCodes) {
  EXPECT_EQ(run(spec({"/bin/true"})).exit.code, 0);
  EXPECT_EQ(run(shell("exit 7")).exit.code, 7);
}

TEST_P(ROOT_Container, AttachedBeforeStartMissesNothing) {
  auto outcome = run(shell("echo out; echo err >&2; printf tail"));
  EXPECT_EQ(outcome.out, "out\ntail");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_FALSE(outcome.exit.oom_killed);
}

TEST_P(ROOT_Container, LogsWhatItPrints) {
  auto outcome = run(shell("echo first; printf 'no newline'"));
  auto reader = LogReader::open(path(ids_.back().str() + ".log"));
  ASSERT_TRUE(reader);
  std::string text;
  ASSERT_TRUE(reader->read_more([&](const LogRecord& record) {
    text += record.bytes;
    EXPECT_GT(record.time, now() - std::chrono::minutes(1));
    return true;
  }));
  EXPECT_EQ(text, "first\nno newline");
}

TEST_P(ROOT_Container, LogPathMayHoldAColon) {
  auto id = new_id();
  auto wanted = request(id, shell("echo hello"));
  wanted.log_path = path("a:b.log");
  auto created = runtime_->create(wanted);
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  ASSERT_TRUE(runtime_->start(id));
  EXPECT_EQ(wait(ended).code, 0);
  EXPECT_THAT(read_file(path("a:b.log")).value_or(""), HasSubstr("stdout F hello\n"));
}

TEST_P(ROOT_Container, HalfClosedStdinReachesIt) {
  auto outcome = run(shell("cat; echo done"), "some\ninput");
  EXPECT_EQ(outcome.out, "some\ninputdone\n");
  EXPECT_EQ(outcome.exit.code, 0);
}

TEST_P(ROOT_Container, TakesMuchInput) {
  std::string input(3 << 20, 'x');
  auto outcome = run(shell("wc -c"), input);
  EXPECT_EQ(outcome.out, fmt::format("{}\n", input.size()));
}

TEST_P(ROOT_Container, StdinStaysOpenForTheNextClientUnlessOnce) {
  auto id = new_id();
  auto created = create(id, shell("read a; read b; echo $a-$b"), true, false);
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  ASSERT_TRUE(runtime_->start(id));
  {
    auto first = AttachStream::connect(runtime_->container_directory(id));
    ASSERT_TRUE(first);
    ASSERT_EQ(first->write("one\n").value_or(0), 4U);
  }
  auto second = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(second);
  ASSERT_EQ(second->write("two\n").value_or(0), 4U);
  Outcome outcome;
  converse(*second, {}, outcome);
  EXPECT_EQ(outcome.out, "one-two\n");
  EXPECT_EQ(wait(ended).code, 0);
}

TEST_P(ROOT_Container, WatcherThatAbandonsOutputLeavesStdinOpen) {
  auto id = new_id();
  auto created = create(id, shell("echo ready; read a; echo got $a"), true, true);
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  auto watcher = AttachStream::connect(runtime_->container_directory(id));
  auto writer = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(watcher && writer);
  ASSERT_TRUE(runtime_->start(id));
  std::string output;
  ASSERT_TRUE(read_until(*writer, "ready", output));
  watcher->abandon_output();
  ASSERT_EQ(writer->write("word\n").value_or(0), 5U);
  EXPECT_TRUE(read_until(*writer, "got word", output)) << output;
  EXPECT_EQ(wait(ended).code, 0);
}

TEST_P(ROOT_Container, TerminalHasTheSizeItIsGiven) {
  auto container =
      shell("read go; until [ \"$(stty size)\" = '41 123' ]; do :; done; stty size; echo $TERM");
  container.terminal = true;
  auto id = new_id();
  auto created = create(id, container, true);
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  auto stream = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(stream);
  ASSERT_TRUE(runtime_->start(id));
  ASSERT_TRUE(resize_terminal(runtime_->container_directory(id), 41, 123));
  // The resize goes by another way than the input and may come after it.
  ASSERT_EQ(stream->write("\n").value_or(0), 1U);
  std::string output;
  ASSERT_TRUE(read_until(*stream, "xterm", output)) << output;
  EXPECT_THAT(output, HasSubstr("41 123"));
  EXPECT_EQ(wait(ended).code, 0);
}

TEST_P(ROOT_Container, UnknownCommandIs127) {
  auto id = new_id();
  auto created = create(id, spec({"nosuch"}));
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().message,
            "failed to create task for container: failed to create shim task: OCI runtime create "
            "failed: runc create failed: unable to start container process: error during container "
            "init: exec: \"nosuch\": executable file not found in $PATH: unknown");
  EXPECT_EQ(created.error().code, Code::kInvalidArgument);
  EXPECT_EQ(start_failure_exit_code(created.error()), 127);
  EXPECT_FALSE(file_exists(runtime_->container_directory(id)));
  EXPECT_EQ(runtime_->list()->size(), 0U);
}

TEST_P(ROOT_Container, MissingPathIs127) {
  auto created = create(new_id(), spec({"/no/such"}));
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message,
              HasSubstr("exec: \"/no/such\": stat /no/such: no such file or directory: unknown"));
  EXPECT_EQ(start_failure_exit_code(created.error()), 127);
}

TEST_P(ROOT_Container, WhatCannotBeExecutedIs126) {
  auto created = create(new_id(), spec({"/etc/text"}));
  ASSERT_FALSE(created);
  EXPECT_THAT(created.error().message,
              HasSubstr("exec: \"/etc/text\": permission denied: unknown"));
  EXPECT_EQ(start_failure_exit_code(created.error()), 126);
  auto of_directory = create(new_id(), spec({"/etc"}));
  ASSERT_FALSE(of_directory);
  EXPECT_EQ(start_failure_exit_code(of_directory.error()), 126) << of_directory.error().message;
}

TEST_P(ROOT_Container, KillEndsItWithTheSignalsCode) {
  auto id = start_idle();
  auto monitor = runtime_->find_monitor(runtime_->container_directory(id));
  ASSERT_TRUE(monitor);
  auto ended = watch(*monitor);
  ASSERT_TRUE(runtime_->kill(id, SIGKILL));
  auto exit = wait(ended);
  EXPECT_EQ(exit.code, 137);
  EXPECT_FALSE(exit.oom_killed);
  EXPECT_FALSE(exit.lost);
  auto again = runtime_->kill(id, SIGKILL);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kNotFound);
}

TEST_P(ROOT_Container, SignalsReachItsHandlers) {
  auto id = new_id();
  auto created =
      create(id, shell("trap 'exit 3' TERM; echo ready; while :; do sleep 1000 & wait; done"));
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  auto stream = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(stream);
  ASSERT_TRUE(runtime_->start(id));
  std::string output;
  ASSERT_TRUE(read_until(*stream, "ready", output));
  ASSERT_TRUE(runtime_->kill(id, SIGTERM));
  EXPECT_EQ(wait(ended).code, 3);
}

TEST_P(ROOT_Container, PausedDoesNothing) {
  auto id = new_id();
  auto created = create(id, shell("echo ready; read a; echo $a"), true);
  ASSERT_TRUE(created) << created.error().message;
  auto ended = watch(created->monitor);
  auto stream = AttachStream::connect(runtime_->container_directory(id));
  ASSERT_TRUE(stream);
  ASSERT_TRUE(runtime_->start(id));
  std::string output;
  ASSERT_TRUE(read_until(*stream, "ready\n", output));
  auto paused = runtime_->pause(id);
  ASSERT_TRUE(paused) << paused.error().message;
  ASSERT_TRUE(runtime_->kill(id, SIGTERM));
  ASSERT_EQ(stream->write("word\n").value_or(0), 5U);
  // Frozen, it neither dies of the signal nor answers.
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  auto resumed = runtime_->resume(id);
  ASSERT_TRUE(resumed) << resumed.error().message;
  ASSERT_TRUE(read_until(*stream, "word", output));
  EXPECT_EQ(wait(ended).code, 0);  // pid 1 ignores SIGTERM
}

TEST_P(ROOT_Container, OutOfMemoryIsTold) {
  auto container = spec({"/bin/tail", "/dev/zero"});
  container.resources.memory = 16 << 20;
  container.resources.memory_swap = 16 << 20;
  auto outcome = run(container);
  EXPECT_EQ(outcome.exit.code, 137);
  EXPECT_TRUE(outcome.exit.oom_killed);
}

TEST_P(ROOT_Container, StatsAndTopSeeIt) {
  auto id = start_idle();
  auto stats = runtime_->stats(id);
  ASSERT_TRUE(stats) << stats.error().message;
  // runc's own threads are counted until they have become the command.
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (stats && stats->pids != 1U && std::chrono::steady_clock::now() < deadline) {
    stats = runtime_->stats(id);
  }
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->pids, 1U);
  EXPECT_GT(stats->cpu_total, 0U);
  EXPECT_GT(stats->system_cpu, stats->cpu_total);
  EXPECT_GT(stats->memory_usage, 0U);
  auto pids = runtime_->processes(id);
  ASSERT_TRUE(pids);
  auto pid = runtime_->find_process(id);
  ASSERT_TRUE(pid);
  EXPECT_EQ(*pids, std::vector<pid_t>{*pid});
  // In the middle of its execve(2) a process has a name in brackets and no words.
  deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  auto table = runtime_->top(id, {});
  while (table && table->processes.at(0).back() == "[sleep]" &&
         std::chrono::steady_clock::now() < deadline)
    table = runtime_->top(id, {});
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->processes.size(), 1U);
  EXPECT_EQ(table->titles.back(), "CMD");
  EXPECT_EQ(table->processes[0].back(), "/bin/sleep 1000");
}

TEST_P(ROOT_Container, LimitsChangeWhileItRuns) {
  auto container = spec({"/bin/sleep", "1000"});
  container.resources.pids = 20;
  container.resources.memory = 64 << 20;
  auto id = new_id();
  auto created = create(id, container);
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(runtime_->stats(id)->pids_limit, 20U);
  ContainerResources changed;
  changed.memory = 128 << 20;
  auto updated = runtime_->update(id, changed);
  ASSERT_TRUE(updated) << updated.error().message;
  EXPECT_EQ(runtime_->stats(id)->memory_limit, 128U << 20);
}

TEST_P(ROOT_Container, RemovingOneThatRunsEndsIt) {
  auto id = start_idle();
  auto pid = runtime_->find_process(id);
  ASSERT_TRUE(pid);
  auto removed = runtime_->remove(id);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(file_exists(fmt::format("/proc/{}", *pid)));
  EXPECT_TRUE(runtime_->remove(id));  // repeated
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ROOT_Container, ::testing::ValuesIn(installed_runtimes()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace holdfast
