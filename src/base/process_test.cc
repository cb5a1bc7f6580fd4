#include "base/process.h"

#include <gtest/gtest.h>
#include <signal.h>

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
