#include <gtest/gtest.h>

#include "engine/attach_session.h"
#include "engine/container.h"
#include "engine/container_table.h"
#include "engine/event_bus.h"
#include "engine/inspect.h"
#include "engine/mounts/mount_plan.h"
#include "engine/signals.h"

namespace holdfast {
namespace {

TEST(DetachScanner, FindsTheKeysHoweverTheyAreCut) {
  auto scanner = *DetachScanner::parse("");
  EXPECT_EQ(scanner.scan("abc\x10").bytes, "abc");
  auto end = scanner.scan("\x11");
  EXPECT_TRUE(end.detached);
  EXPECT_EQ(end.bytes, "");
}

TEST(DetachScanner, GivesBackWhatWasNoDetaching) {
  auto scanner = *DetachScanner::parse("");
  EXPECT_EQ(scanner.scan("\x10").bytes, "");
  EXPECT_EQ(scanner.scan("x").bytes, "\x10x");
  EXPECT_EQ(scanner.scan("\x10\x10").bytes, "\x10");
  EXPECT_TRUE(scanner.scan("\x11").detached);
}

TEST(DetachScanner, OtherKeys) {
  auto scanner = *DetachScanner::parse("ctrl-a,d");
  EXPECT_TRUE(scanner
                  .scan("ls\x01"
                        "d")
                  .detached);
  EXPECT_FALSE(DetachScanner::parse("ctrl-toolong"));
}

TEST(Signals, ByNameAndNumber) {
  EXPECT_EQ(*parse_signal("KILL"), 9);
  EXPECT_EQ(*parse_signal("sigterm"), 15);
  EXPECT_EQ(*parse_signal("2"), 2);
  EXPECT_EQ(*parse_signal("SIGRTMIN+3"), 37);
  for (const char* text : {"", "0", "65", "SIGNOTHING", "-9", "9x"})
    EXPECT_FALSE(parse_signal(text)) << text;
}

TEST(StatusText, AsPsShowsIt) {
  Time start{std::chrono::hours(1000)};
  ContainerState state;
  EXPECT_EQ(status_text(state, start), "Created");
  state.status = ContainerStatus::kRunning;
  state.started_at = start;
  EXPECT_EQ(status_text(state, start + std::chrono::seconds(90)), "Up About a minute");
  state.status = ContainerStatus::kPaused;
  EXPECT_EQ(status_text(state, start + std::chrono::hours(5)), "Up 5 hours (Paused)");
  state.status = ContainerStatus::kExited;
  state.exit_code = 137;
  state.finished_at = start;
  EXPECT_EQ(status_text(state, start + std::chrono::hours(24 * 3)), "Exited (137) 3 days ago");
}

TEST(EventFilter, KeysMustAllMatchValuesAreAlternatives) {
  Event event{"container",
              "start",
              "abcdef",
              {{"name", "web"}, {"image", "nginx:1"}, {"tier", "front"}},
              now()};
  auto matches = [&](const std::multimap<std::string, std::string>& filters) {
    return EventFilter::parse(filters)->matches(event);
  };
  EXPECT_TRUE(matches({}));
  EXPECT_TRUE(matches({{"event", "die"}, {"event", "start"}}));
  EXPECT_FALSE(matches({{"event", "start"}, {"container", "db"}}));
  EXPECT_TRUE(matches({{"container", "web"}, {"label", "tier=front"}}));
  EXPECT_TRUE(matches({{"image", "nginx"}}));
  EXPECT_FALSE(matches({{"type", "volume"}}));
  EXPECT_FALSE(EventFilter::parse({{"colour", "red"}}));
}

TEST(EventBus, GivesTheRememberedThenTheNew) {
  EventBus bus;
  bus.publish("volume", "create", "one", {});
  std::vector<std::string> seen;
  auto subscription =
      bus.subscribe(Time{}, [&](const Event& event) { seen.push_back(event.actor_id); });
  bus.publish("volume", "create", "two", {});
  subscription.cancel();
  bus.publish("volume", "create", "three", {});
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
}

ContainerPtr some_container(const std::string& digit, const std::string& name) {
  ContainerData data;
  data.name = name;
  return std::make_shared<Container>(ContainerId(digit + std::string(63, 'a')), ImageId("sha256:x"),
                                     "linux", now(), data);
}

TEST(Container, RecordRoundTrip) {
  auto container = some_container("1", "web");
  container->change([](ContainerData& data) {
    data.config = *json::parse_object(R"({"Image":"x","Cmd":["a"]})");
    data.mounts.push_back(*parse_bind_spec("data:/d:ro", ""));
    data.state.status = ContainerStatus::kExited;
    data.state.exit_code = 3;
    data.manually_stopped = true;
  });
  auto again = Container::from_record(container->id.str(), container->to_record());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ((*again)->to_record(), container->to_record());
}

TEST(Container, ADamagedRecordIsNamed) {
  auto damaged = Container::from_record("abc", "{\"Id\":\"other\"}");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::kDataLoss);
  EXPECT_NE(damaged.error().message.find("abc"), std::string::npos);
}

TEST(Container, EachWaitEndsWhenItsConditionHolds) {
  auto container = some_container("1", "web");
  container->change([](ContainerData& data) { data.state.status = ContainerStatus::kRunning; });
  int stopped = 0;
  int removed = 0;
  auto wait_stopped = container->wait(WaitCondition::kNotRunning,
                                      [&](WaitResult result) { stopped = result.exit_code; });
  auto wait_removed = container->wait(WaitCondition::kRemoved,
                                      [&](WaitResult result) { removed = result.exit_code; });
  container->notify_exit({7, {}});
  EXPECT_EQ(stopped, 7);
  EXPECT_EQ(removed, 0);
  container->notify_removed({8, {}});
  EXPECT_EQ(removed, 8);
  int late = 0;
  auto wait_late = container->wait(WaitCondition::kNextExit,
                                   [&](WaitResult result) { late = result.exit_code; });
  EXPECT_EQ(late, 8);
}

}  // namespace
}  // namespace holdfast
