#include <gmock/gmock.h>
#include <signal.h>

#include "base/random.h"
#include "fixture.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class ROOT_Exec : public RuntimeTest {
 protected:
  static ExecSpec shell_exec(const std::string& script) {
    ExecSpec exec;
    exec.args = {"/bin/sh", "-c", script};
    return exec;
  }
};

TEST_P(ROOT_Exec, RunsInTheContainer) {
  auto id = start_idle();
  auto outcome = run_exec(id, shell_exec("hostname; echo err >&2; exit 5"));
  EXPECT_EQ(outcome.out, "box\n");
  EXPECT_EQ(outcome.err, "err\n");
  EXPECT_EQ(outcome.exit.code, 5);
}

TEST_P(ROOT_Exec, TakesInputToItsEnd) {
  auto id = start_idle();
  auto outcome = run_exec(id, shell_exec("cat; echo done"), "hello ");
  EXPECT_EQ(outcome.out, "hello done\n");
}

TEST_P(ROOT_Exec, UserDirectoryAndEnvironment) {
  auto id = start_idle();
  auto exec = shell_exec("id -u; id -g; id -G; pwd; echo $WORD $HOSTNAME");
  exec.user = *resolve_user("someone", {}, rootfs_);
  exec.cwd = "/etc";
  exec.env = {"WORD=x"};
  auto outcome = run_exec(id, exec);
  EXPECT_EQ(outcome.out, "1000\n1000\n1000 2000\n/etc\nx box\n");
}

TEST_P(ROOT_Exec, TerminalHasTheSizeItIsGiven) {
  auto id = start_idle();
  auto exec = shell_exec(
      "read go; until [ \"$(stty size)\" = '33 77' ]; do :; done; stty size; echo $TERM");
  exec.terminal = true;
  ExecRequest wanted{id, random_hex(64), exec, true};
  auto pending = runtime_->prepare_exec(wanted);
  ASSERT_TRUE(pending) << pending.error().message;
  auto stream = AttachStream::connect(pending->directory());
  ASSERT_TRUE(stream);
  auto started = pending->start();
  ASSERT_TRUE(started) << started.error().message;
  auto ended = watch(started->monitor);
  ASSERT_TRUE(resize_terminal(pending->directory(), 33, 77));
  ASSERT_EQ(stream->write("\n").value_or(0), 1U);
  std::string output;
  ASSERT_TRUE(read_until(*stream, "xterm", output)) << output;
  EXPECT_THAT(output, HasSubstr("33 77"));
  EXPECT_EQ(wait(ended).code, 0);
}

TEST_P(ROOT_Exec, QuickOneOnATerminalHasItsOutputAndCode) {
  auto id = start_idle();
  for (int i = 0; i < 10; ++i) {
    auto exec = shell_exec("echo hi; exit 4");
    exec.terminal = true;
    auto outcome = run_exec(id, exec, "");
    EXPECT_EQ(outcome.out, "hi\r\n");
    EXPECT_EQ(outcome.exit.code, 4);
  }
}

TEST_P(ROOT_Exec, UnknownCommandSaysSo) {
  auto id = start_idle();
  ExecSpec exec;
  exec.args = {"nosuch"};
  auto pending = runtime_->prepare_exec({id, random_hex(64), exec, false});
  ASSERT_TRUE(pending) << pending.error().message;
  auto started = pending->start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message,
            "OCI runtime exec failed: exec failed: unable to start container process: exec: "
            "\"nosuch\": executable file not found in $PATH: unknown");
  EXPECT_EQ(start_failure_exit_code(started.error()), 127);
}

TEST_P(ROOT_Exec, DroppedUnstartedRunsNothing) {
  auto id = start_idle();
  {
    auto pending =
        runtime_->prepare_exec({id, random_hex(64), shell_exec("touch /tmp/ran"), false});
    ASSERT_TRUE(pending) << pending.error().message;
  }
  run_exec(id, shell_exec("true"));
  EXPECT_FALSE(file_exists(path("rootfs/tmp/ran")));
}

TEST_P(ROOT_Exec, EndsWithItsContainer) {
  auto id = start_idle();
  auto pending = runtime_->prepare_exec({id, random_hex(64), shell_exec("sleep 1000"), false});
  ASSERT_TRUE(pending) << pending.error().message;
  auto started = pending->start();
  ASSERT_TRUE(started) << started.error().message;
  auto ended = watch(started->monitor);
  ASSERT_TRUE(runtime_->kill(id, SIGKILL));
  EXPECT_EQ(wait(ended).code, 137);
}

INSTANTIATE_TEST_SUITE_P(Runtimes, ROOT_Exec, ::testing::ValuesIn(installed_runtimes()),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace holdfast
