#include "engine/mounts/bind_policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class BindPolicyTest : public testing::Test {
 protected:
  BindPolicyTest() {
    fs::create_directories(allowed_ + "/in");
    fs::create_directories(directory_ / "allowed-too/in");
    fs::create_directory_symlink(directory_ / "allowed-too", allowed_ + "/out");
    fs::create_directory_symlink(allowed_, directory_ / "way-in");
  }
  std::string refusal(const std::string& path, bool create = false) {
    auto opened = policy_.open(path, create, ::getuid());
    return opened ? "" : opened.error().message;
  }

  TemporaryDirectory directory_;
  std::string allowed_ = directory_ / "allowed";
  BindPolicy policy_{{allowed_}, "/etc/holdfast/daemon.json"};
};

TEST_F(BindPolicyTest, JudgesWhereAPathLeads) {
  EXPECT_EQ(refusal(allowed_), "");
  EXPECT_EQ(refusal(allowed_ + "/in"), "");
  EXPECT_EQ(refusal(directory_ / "way-in/in"), "");
  EXPECT_NE(refusal(directory_ / "allowed-too"), "");  // begins alike
  EXPECT_NE(refusal(directory_.path()), "");
  EXPECT_EQ(
      refusal(allowed_ + "/out/in"),
      fmt::format("\"{0}/out/in\", which is \"{0}-too/in\", is outside of the directories that "
                  "may be mounted ({0}): add it to \"allowed-bind-roots\" in "
                  "/etc/holdfast/daemon.json and restart holdfastd",
                  allowed_));
}

TEST_F(BindPolicyTest, MakesNothingOutside) {
  EXPECT_EQ(refusal(allowed_ + "/new/deep", true), "");
  EXPECT_TRUE(fs::is_directory(allowed_ + "/new/deep"));
  EXPECT_NE(refusal(directory_ / "new/deep", true), "");
  EXPECT_FALSE(fs::exists(directory_ / "new"));
  EXPECT_NE(refusal(allowed_ + "/out/new", true), "");
  EXPECT_FALSE(fs::exists(directory_ / "allowed-too/new"));
  EXPECT_EQ(refusal(allowed_ + "/missing"),
            "bind source path does not exist: " + allowed_ + "/missing");
}

TEST_F(BindPolicyTest, NoListAllowsAllAnEmptyOneNothing) {
  EXPECT_TRUE(BindPolicy().open("/", false, std::nullopt));
  EXPECT_FALSE(BindPolicy({}, "").open(allowed_, false, ::getuid()));
  EXPECT_TRUE(BindPolicy({"/"}, "").open(allowed_, false, std::nullopt));
}

// The path that a mount has in another namespace says nothing of what it is.
TEST_F(BindPolicyTest, MountsOfOtherNamespacesAreRefused) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  pid_t child = ::fork();
  if (child == 0) {
    char word = ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 'y' : 'n';
    [[maybe_unused]] auto written = ::write(ready[1], &word, 1);
    ::pause();
    ::_exit(0);
  }
  char word = 0;
  ASSERT_EQ(::read(ready[0], &word, 1), 1);
  if (word == 'y') {
    auto path = fmt::format("/proc/{}/root{}", child, allowed_);
    EXPECT_EQ(refusal(path),
              "\"" + path +
                  "\" leads into another mount namespace, of whose paths none may be "
                  "mounted");
    EXPECT_NE(refusal(path + "/new", true), "");
    EXPECT_FALSE(fs::exists(allowed_ + "/new"));
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  if (word != 'y') GTEST_SKIP() << "no user namespaces here";
}

// $HOME/shared is the user's to make: as a symlink it allows no more than $HOME.
TEST_F(BindPolicyTest, SymlinksBehindAVariableLeadNowhereElse) {
  std::string home = ::getpwuid(::getuid())->pw_dir;
  std::string name = fmt::format("holdfast-test-{}", ::getpid());
  std::string link = fmt::format("{}/{}", home, name);
  std::error_code failure;
  fs::create_directory_symlink(allowed_, link, failure);
  if (failure) GTEST_SKIP() << "cannot write to " << home;
  EXPECT_FALSE(BindPolicy({"$HOME/" + name}, "").open(allowed_, false, ::getuid()));
  EXPECT_TRUE(BindPolicy({link}, "").open(allowed_, false, ::getuid()));
  fs::remove(link);
  EXPECT_TRUE(BindPolicy({"$HOME"}, "").open(home, false, ::getuid()));
}

TEST(BindRootTest, VariablesAreTheRequesters) {
  EXPECT_EQ(expand_bind_root("/srv", std::nullopt), "/srv");
  EXPECT_EQ(expand_bind_root("/home/$USER/x", 0), "/home/root/x");
  EXPECT_EQ(expand_bind_root("/home/${USER}x", 0), "/home/rootx");
  EXPECT_EQ(expand_bind_root("$HOME", 0), "/root");
  EXPECT_EQ(expand_bind_root("/home/$USER", std::nullopt), std::nullopt);
  EXPECT_EQ(expand_bind_root("/home/$USER", 4000000000), std::nullopt);
  EXPECT_EQ(expand_bind_root("/home/$USERS", 0), std::nullopt);
}

TEST(BindRootTest, RootsAreAbsolute) {
  EXPECT_TRUE(check_bind_root("/srv"));
  EXPECT_TRUE(check_bind_root("$HOME/src"));
  for (const char* bad : {"", "srv", "$USER", "/home/$SUDO_USER", "/home/${USER", "~/x"})
    EXPECT_FALSE(check_bind_root(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
