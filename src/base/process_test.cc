#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace holdfast {
namespace {

TEST(Process, RunsACommandWithInput) {
  ProcessOptions options;
  options.argv = {"sh", "-c", "cat; echo to-err >&2; exit 3"};
  auto output = run_command(options, "hello");
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(output->out, "hello");
  EXPECT_EQ(output->err, "to-err\n");
  EXPECT_EQ(output->status.code, 3);
}

TEST(Process, SaysThatAProgramIsMissing) {
  ProcessOptions options;
  options.argv = {"/no/such/program"};
  auto process = Process::spawn(options);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, Code::kNotFound);
}

TEST(Process, KillsAChildThatOverstaysItsTime) {
  ProcessOptions options;
  options.argv = {"sleep", "600"};
  auto output = run_command(options, {}, std::chrono::milliseconds(50));
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().code, Code::kDeadlineExceeded);
}

TEST(Process, DoesNotWaitForTheOutputOfThoseACommandLeavesBehind) {
  ProcessOptions options;
  options.argv = {"sh", "-c", "echo left; sleep 600 & echo $!"};
  options.leaves_processes = true;
  auto output = run_command(options);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_TRUE(output->out.starts_with("left\n"));
  auto left = static_cast<pid_t>(std::stol(output->out.substr(5)));
  EXPECT_EQ(::kill(left, SIGKILL), 0) << "it goes on";
}

TEST(Process, KillsThoseACommandStillHasPastTheDeadline) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  ProcessOptions options;
  options.argv = {"sh", "-c", "sh -c 'sleep 600; true'; true"};
  options.leaves_processes = true;
  options.extra_fds = {{write_end.get(), 5}};  // open for as long as any of them lives
  EXPECT_EQ(run_command(options, {}, std::chrono::milliseconds(200)).error().code,
            Code::kDeadlineExceeded);
  write_end.reset();
  struct pollfd entry = {read_end.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 5000), 1) << "all of them have ended";
}

TEST(Process, ChildGetsOnlyTheDescriptorsItIsMeantToHave) {
  ProcessOptions options;
  options.argv = {"sh", "-c", "ls /proc/self/fd | wc -l"};
  auto output = run_command(options);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "4\n");  // 0, 1, 2 and the one ls reads the folder through
}

TEST(Process, ReportsTheSignal) {
  ProcessOptions options;
  options.argv = {"sleep", "600"};
  auto process = Process::spawn(options);
  ASSERT_TRUE(process);
  ASSERT_TRUE(process->signal(SIGTERM));
  auto status = process->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGTERM);
  EXPECT_EQ(status->code, 143);
}

}  // namespace
}  // namespace holdfast
