#include "storage/driver/plugin/plugins.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <list>
#include <thread>

#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// A plugin with one volume, in this process. While it is on hold it lets every call wait.
class FakePlugin {
 public:
  FakePlugin(const fs::path& socket, std::string volume) : volume_(std::move(volume)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    accepting_ = std::thread([this] {
      while (true) {
        int peer = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) return;
        serving_.emplace_back([this, peer] { serve(UniqueFd(peer)); });
      }
    });
  }
  ~FakePlugin() {
    hold(false);
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    for (auto& thread : serving_) thread.join();
  }

  void hold(bool on) {
    held_ = on;
    held_.notify_all();
  }
  std::atomic<int> calls = 0;

 private:
  void serve(UniqueFd peer) {
    char buffer[4096];
    ssize_t got = ::recv(peer.get(), buffer, sizeof buffer, 0);
    std::string request(buffer, got > 0 ? static_cast<std::size_t>(got) : 0);
    ++calls;
    held_.wait(true);
    std::string body = answer(request);
    std::string text =
        fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
    (void)::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  std::string answer(const std::string& request) const {
    auto asks = [&](const char* what) { return request.find(what) != std::string::npos; };
    std::string one = fmt::format(R"({{"Name": "{}"}})", volume_);
    if (asks("/Plugin.Activate")) return R"({"Implements": ["VolumeDriver"]})";
    if (asks(".Capabilities")) return R"({"Capabilities": {"Scope": "global"}})";
    if (asks(".List")) return R"({"Volumes": [)" + one + "]}";
    if (asks(".Get") && asks(("\"" + volume_ + "\"").c_str())) return R"({"Volume": )" + one + "}";
    return R"({"Err": "no such volume"})";
  }

  const std::string volume_;
  std::atomic<bool> held_ = false;
  UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::list<std::thread> serving_;
  std::thread accepting_;
};

class PluginsTest : public testing::Test {
 protected:
  PluginOptions options() const {
    PluginOptions options;
    options.directories = {directory_.path()};
    options.deadlines.quick = 300ms;
    options.deadlines.slow = 500ms;
    options.deadlines.listing = 50ms;
    options.deadlines.lookup = 100ms;
    options.deadlines.retry = 20ms;
    return options;
  }
  const PluginListing* listing_of(const std::vector<PluginListing>& all,
                                  const std::string& driver) {
    for (const auto& listing : all)
      if (listing.driver == driver) return &listing;
    return nullptr;
  }
  // Until it holds; the machine may be busy.
  static bool soon(const std::function<bool()>& condition) {
    for (auto end = Clock::now() + 20s; Clock::now() < end;) {
      if (condition()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  TemporaryDirectory directory_;
  FakePlugin first_{directory_ / "first.sock", "one"};
  FakePlugin second_{directory_ / "second.sock", "two"};
  Plugins plugins_{options()};
};

TEST_F(PluginsTest, ListsWhatAllOfThemHave) {
  EXPECT_EQ(plugins_.names(), (std::vector<std::string>{"first", "second"}));
  ASSERT_TRUE(soon([&] {
    auto all = plugins_.list();
    auto* listing = listing_of(all, "second");
    return listing && listing->complete && listing->volumes.size() == 1 &&
           listing->volumes[0].name == "two" && listing->scope == "global";
  }));
}

TEST_F(PluginsTest, SilentOneIsWaitedForOnceAndListedAsItWas) {
  ASSERT_TRUE(soon([&] {
    auto all = plugins_.list();
    return listing_of(all, "first")->complete && listing_of(all, "second")->complete;
  }));
  first_.hold(true);
  (void)plugins_.list();
  bool other_was_heard = false;
  for (int i = 0; i < 50; ++i) {
    auto began = Clock::now();
    auto all = plugins_.list();
    EXPECT_LT(Clock::now() - began, 5s);
    const auto* silent = listing_of(all, "first");
    ASSERT_TRUE(silent);
    EXPECT_FALSE(silent->complete);
    EXPECT_FALSE(silent->problem.empty());
    EXPECT_EQ(silent->volumes.size(), 1u);
    other_was_heard = other_was_heard || listing_of(all, "second")->complete;
  }
  EXPECT_TRUE(other_was_heard);
  first_.hold(false);
  EXPECT_TRUE(soon([&] { return listing_of(plugins_.list(), "first")->complete; }));
}

TEST_F(PluginsTest, CallsToASilentOneFailAtOnceUntilItAnswers) {
  auto& driver = plugins_.driver("first");
  ASSERT_TRUE(soon([&] { return driver.get(VolumeName("one")).has_value(); }));
  first_.hold(true);
  auto late = driver.get(VolumeName("one"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kDeadlineExceeded) << late.error().message;
  EXPECT_TRUE(driver.client().silent());
  auto refused = driver.get(VolumeName("one"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_NE(refused.error().message.find("has not answered an earlier call"), std::string::npos);
  EXPECT_TRUE(certainly_undone(refused.error()));
  EXPECT_FALSE(certainly_undone(late.error()));
  first_.hold(false);
  EXPECT_TRUE(soon([&] { return driver.get(VolumeName("one")).has_value(); }));
}

TEST_F(PluginsTest, FindsWhoHasAVolume) {
  std::optional<Plugins::Found> found;
  ASSERT_TRUE(soon([&] { return (found = plugins_.find_volume(VolumeName("two"))).has_value(); }));
  EXPECT_EQ(found->driver, "second");
  EXPECT_FALSE(plugins_.find_volume(VolumeName("three")));
  // What a silent one had when it was last heard counts: no other volume comes in its place.
  ASSERT_TRUE(soon([&] { return listing_of(plugins_.list(), "second")->complete; }));
  second_.hold(true);
  ASSERT_TRUE(soon([&] {
    (void)plugins_.find_volume(VolumeName("four"));
    return plugins_.driver("second").client().silent();
  }));
  found = plugins_.find_volume(VolumeName("two"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->driver, "second");
}

TEST_F(PluginsTest, SaysWhoAnswers) {
  ASSERT_TRUE(soon([&] {
    auto states = plugins_.states();
    return states.size() == 2 && states[0].answers && states[1].answers &&
           states[0].implements == std::vector<std::string>{"VolumeDriver"};
  }));
  first_.hold(true);
  ASSERT_TRUE(soon([&] {
    auto states = plugins_.states();
    return !states[0].answers && !states[0].problem.empty() && states[1].answers;
  }));
}

TEST_F(PluginsTest, OneThatIsGoneIsNotKnownAndComesBack) {
  EXPECT_TRUE(plugins_.known("first"));
  fs::rename(directory_ / "first.sock", directory_ / "away");
  auto known = plugins_.known("first");
  ASSERT_FALSE(known);
  EXPECT_EQ(known.error().message,
            "error looking up volume plugin first: plugin \"first\" not found");
  EXPECT_EQ(plugins_.names(), (std::vector<std::string>{"second"}));
  fs::rename(directory_ / "away", directory_ / "first.sock");
  EXPECT_TRUE(plugins_.known("first"));
}

TEST_F(PluginsTest, ManyAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> heard = 0;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 10; ++round) {
        if (i == 0) first_.hold(round % 2 == 0);
        (void)plugins_.list();
        (void)plugins_.states();
        (void)plugins_.names();
        if (plugins_.find_volume(VolumeName("two"))) ++heard;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  first_.hold(false);
  EXPECT_TRUE(soon([&] { return plugins_.find_volume(VolumeName("two")).has_value(); }));
}

TEST_F(PluginsTest, InterruptingEndsCalls) {
  ASSERT_TRUE(soon([&] { return plugins_.driver("first").list().has_value(); }));
  first_.hold(true);
  std::thread interrupting([&, before = first_.calls.load()] {
    EXPECT_TRUE(soon([&] { return first_.calls > before; }));
    plugins_.interrupt();
  });
  auto cut = plugins_.driver("first").list();
  interrupting.join();
  ASSERT_FALSE(cut);
  EXPECT_EQ(plugins_.driver("first").list().error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace holdfast
