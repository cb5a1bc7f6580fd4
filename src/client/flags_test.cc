#include "client/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

using ::testing::ElementsAre;

struct RunLike {
  bool interactive = false, tty = false;
  std::optional<bool> proxy;
  std::string name;
  std::vector<std::string> env;
  std::optional<std::int64_t> memory, interval;
  std::int64_t last = -1;
  FlagSet flags;
  RunLike() {
    flags.flag("interactive", 'i', interactive, "Keep STDIN open");
    flags.flag("tty", 't', tty, "Allocate a pseudo-TTY");
    flags.flag("sig-proxy", 0, proxy, "Proxy signals");
    flags.flag("name", 0, name, "Assign a name");
    flags.flag("env", 'e', env, "Set environment variables");
    flags.bytes("memory", 'm', memory, "Memory limit");
    flags.duration("health-interval", 0, interval, "Time between checks");
    flags.flag("last", 'n', last, "Last n");
  }
  std::string error(std::vector<std::string> arguments) {
    auto result = flags.parse(arguments, true);
    return result ? "" : result.error().message;
  }
};

TEST(Flags, TakesEverySpelling) {
  RunLike run;
  auto rest = run.flags.parse(
      {"-it", "--name=web", "-e", "A=1", "-eB=2", "-e=C", "--env", "D", "-m64m",
       "--sig-proxy=false", "--health-interval", "1m30s", "-n", "-5", "img", "-x", "--flag"},
      true);
  ASSERT_TRUE(rest);
  EXPECT_THAT(*rest, ElementsAre("img", "-x", "--flag"));
  EXPECT_TRUE(run.interactive && run.tty);
  EXPECT_EQ(run.proxy, false);
  EXPECT_EQ(run.name, "web");
  EXPECT_THAT(run.env, ElementsAre("A=1", "B=2", "C", "D"));
  EXPECT_EQ(run.memory, 64 << 20);
  EXPECT_EQ(run.interval, 90'000'000'000);
  EXPECT_EQ(run.last, -5);
}

TEST(Flags, MayFollowArgumentsWhereTheCommandSaysSo) {
  RunLike run;
  auto rest = run.flags.parse({"a", "-i", "b", "--", "-t"}, false);
  ASSERT_TRUE(rest);
  EXPECT_THAT(*rest, ElementsAre("a", "b", "-t"));
  EXPECT_TRUE(run.interactive);
  EXPECT_FALSE(run.tty);
}

TEST(Flags, SayWhatIsWrongInDockersWords) {
  EXPECT_EQ(RunLike().error({"--nosuch"}), "unknown flag: --nosuch");
  EXPECT_EQ(RunLike().error({"-iz"}), "unknown shorthand flag: 'z' in -z");
  EXPECT_EQ(RunLike().error({"--name"}), "flag needs an argument: --name");
  EXPECT_EQ(RunLike().error({"-m"}), "flag needs an argument: 'm' in -m");
  EXPECT_EQ(RunLike().error({"-m", "x"}),
            "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'");
  EXPECT_EQ(RunLike().error({"--tty=maybe"}),
            "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing "
            "\"maybe\": invalid syntax");
  EXPECT_EQ(RunLike().error({"-n", "x"}),
            "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": "
            "invalid syntax");
  EXPECT_EQ(RunLike().error({"-n", "99999999999999999999"}),
            "invalid argument \"99999999999999999999\" for \"-n, --last\" flag: strconv.ParseInt: "
            "parsing \"99999999999999999999\": value out of range");
}

TEST(Flags, HelpIsAlwaysThere) {
  RunLike run;
  ASSERT_TRUE(run.flags.parse({"-i", "--help"}, true));
  EXPECT_TRUE(run.flags.help_wanted());
  RunLike other;
  ASSERT_TRUE(other.flags.parse({"-h"}, true));
  EXPECT_TRUE(other.flags.help_wanted());
}

TEST(Flags, DescribeWrapsAndHides) {
  bool a = false;
  FlagSet flags;
  flags.flag("all", 'a', a, "Show all of the containers that there are and were and will be");
  flags.flag("secret", 0, a, "x");
  flags.hide("secret");
  EXPECT_EQ(flags.describe(51),
            "  -a, --all   Show all of the containers that there\n"
            "              are and were and will be\n");
}

TEST(SplitCsv, FollowsRfc4180) {
  EXPECT_THAT(split_csv("a,b=c,").value(), ElementsAre("a", "b=c", ""));
  EXPECT_THAT(split_csv("type=volume,\"volume-opt=o=addr=1,rw\",dst=/x").value(),
              ElementsAre("type=volume", "volume-opt=o=addr=1,rw", "dst=/x"));
  EXPECT_THAT(split_csv("\"a\"\"b\"").value(), ElementsAre("a\"b"));
  EXPECT_FALSE(split_csv("\"a"));
  EXPECT_FALSE(split_csv("a\"b"));
  EXPECT_FALSE(split_csv("\"a\"b"));
}

}  // namespace
}  // namespace holdfast::client
