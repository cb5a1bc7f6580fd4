#include "storage/driver/plugin/plugin_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <functional>
#include <thread>

#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kHead = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// A server on a Unix socket that treats one connection as it is told.
class PluginConnectionTest : public testing::Test {
 protected:
  PluginConnectionTest() {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }
  ~PluginConnectionTest() override {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  void serve(std::function<void(int)> treat) {
    thread_ = std::thread([this, treat] {
      UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      char buffer[4096];
      ssize_t got = ::recv(peer.get(), buffer, sizeof buffer, 0);
      if (got > 0) request_.assign(buffer, static_cast<std::size_t>(got));
      treat(peer.get());
    });
  }
  Result<PluginAnswer> ask(std::chrono::milliseconds limit = 10s) {
    auto endpoint = parse_plugin_address("unix://" + path_);
    endpoint->name = "x";
    return ask_plugin(*endpoint, "/VolumeDriver.Get", "{}", Clock::now() + limit, stopping_);
  }
  // Until the client has hung up.
  static void wait_for_end(int fd) {
    char byte;
    while (::recv(fd, &byte, 1, 0) > 0) {
    }
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "x.sock";
  UniqueFd listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::string request_;
  Cancellation stopping_;
  std::thread thread_;
};

TEST_F(PluginConnectionTest, AsksAndHears) {
  serve([](int fd) { send_all(fd, kHead) && send_all(fd, "{}"); });
  auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(answer->body, "{}");
  thread_.join();
  EXPECT_TRUE(request_.starts_with("POST /VolumeDriver.Get HTTP/1.1\r\n")) << request_;
  EXPECT_NE(request_.find("Accept: application/vnd.docker.plugins.v1.2+json\r\n"),
            std::string::npos);
  EXPECT_TRUE(request_.ends_with("\r\n\r\n{}"));
}

TEST_F(PluginConnectionTest, AnswerMayBeChunkedOrEndWithTheConnection) {
  serve([](int fd) {
    send_all(fd,
             "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
  });
  auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 500u);
  EXPECT_EQ(answer->body, "{}");
  thread_.join();
  serve([](int fd) { send_all(fd, "HTTP/1.0 200 OK\r\n\r\n{ }"); });
  EXPECT_EQ(ask()->body, "{ }");
}

TEST_F(PluginConnectionTest, NobodyThereIsCertain) {
  ::shutdown(listener_.get(), SHUT_RDWR);
  listener_.reset();
  auto answer = ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("plugin \"x\" at unix://" + path_), std::string::npos);
  ::unlink(path_.c_str());
  EXPECT_EQ(ask().error().code, Code::kUnavailable);
}

TEST_F(PluginConnectionTest, SilenceIsCutAtTheDeadline) {
  serve(wait_for_end);
  auto began = Clock::now();
  auto answer = ask(200ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kDeadlineExceeded) << answer.error().message;
  EXPECT_LT(Clock::now() - began, 5s);
}

TEST_F(PluginConnectionTest, SoIsAnAnswerThatDrips) {
  serve([](int fd) {
    if (!send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")) return;
    while (send_all(fd, " ")) std::this_thread::yield();
  });
  auto began = Clock::now();
  EXPECT_EQ(ask(300ms).error().code, Code::kDeadlineExceeded);
  EXPECT_LT(Clock::now() - began, 5s);
}

TEST_F(PluginConnectionTest, TooMuchIsNotReadToItsEnd) {
  serve([](int fd) {
    std::string block(1 << 16, ' ');
    if (!send_all(fd, "HTTP/1.1 200 OK\r\n\r\n")) return;
    for (int i = 0; i < 1 << 14 && send_all(fd, block); ++i) {
    }
  });
  auto answer = ask();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kAborted);
  EXPECT_NE(answer.error().message.find("larger than 1 MiB"), std::string::npos);
  thread_.join();
  serve([](int fd) {
    send_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    wait_for_end(fd);
  });
  EXPECT_NE(ask().error().message.find("larger than 1 MiB"), std::string::npos);
  thread_.join();
  serve([](int fd) { send_all(fd, "HTTP/1.1 200 OK\r\nX: " + std::string(1 << 20, 'x')); });
  EXPECT_NE(ask().error().message.find("larger than 1 MiB"), std::string::npos);
}

TEST_F(PluginConnectionTest, BrokenOffOrNonsenseMayHaveDoneAnything) {
  for (const char* answer :
       {"", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "what?\r\n\r\n"}) {
    serve([&](int fd) { send_all(fd, answer); });
    EXPECT_EQ(ask().error().code, Code::kAborted) << answer;
    thread_.join();
  }
}

TEST_F(PluginConnectionTest, StoppingEndsTheWait) {
  serve([&](int fd) {
    stopping_.cancel();
    wait_for_end(fd);
  });
  EXPECT_EQ(ask().error().code, Code::kCancelled);
}

TEST_F(PluginConnectionTest, WaitsWhereOthersWaitToBeLetIn) {
  // A queue of one takes two; nobody is let in yet.
  std::vector<UniqueFd> queue;
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  while (true) {
    queue.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(queue.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      break;
  }
  ASSERT_EQ(errno, EAGAIN);
  EXPECT_EQ(ask(100ms).error().code, Code::kDeadlineExceeded);
  thread_ = std::thread([&] {
    for (std::size_t i = 0; i + 1 < queue.size(); ++i)
      UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    while (true) {
      UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      char buffer[4096];
      if (::recv(peer.get(), buffer, sizeof buffer, 0) <= 0) continue;
      send_all(peer.get(), kHead) && send_all(peer.get(), "{}");
      return;
    }
  });
  auto answer = ask();
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->body, "{}");
}

TEST_F(PluginConnectionTest, OverTcpByName) {
  auto nobody = parse_plugin_address("tcp://localhost:1");
  auto answer = ask_plugin(*nobody, "/x", "", Clock::now() + 5s, stopping_);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnavailable) << answer.error().message;
  auto nowhere = parse_plugin_address("tcp://no.such.name.invalid:1");
  answer = ask_plugin(*nowhere, "/x", "", Clock::now() + 30s, stopping_);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("look up \"no.such.name.invalid\""), std::string::npos)
      << answer.error().message;
}

}  // namespace
}  // namespace holdfast
