// Hijacked connections: attach and exec.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <future>
#include <optional>

#include "http/test_server.h"

namespace holdfast::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Sends back what it gets, in capitals, until the client ends its side.
struct Shouter : std::enable_shared_from_this<Shouter> {
  explicit Shouter(Duplex stream) : duplex(std::move(stream)) {}
  void run() {
    duplex.read([self = shared_from_this()](Duplex::Input input) {
      if (input.end) {
        EXPECT_TRUE(self->duplex.try_write("[end]"));
        self->duplex.close();
        return;
      }
      std::string text(input.bytes);
      for (char& c : text) c = static_cast<char>(std::toupper(c));
      EXPECT_TRUE(self->duplex.try_write(text));
      self->run();
    });
  }
  Duplex duplex;
};

class HijackTest : public ::testing::Test {
 protected:
  HijackTest() {
    server_.router.add(
        "POST", "/attach",
        [](Request, Responder responder) {
          std::make_shared<Shouter>(responder.hijack("application/vnd.docker.raw-stream"))->run();
        },
        {BodyKind::kInput, Where::kPool});
    server_.router.add("POST", "/exec", [](Request request, Responder responder) {
      auto duplex = responder.hijack("application/vnd.docker.raw-stream");
      EXPECT_TRUE(duplex.try_write(request.body + ":"));
      std::make_shared<Shouter>(std::move(duplex))->run();
    });
  }

  TestServer server_;
};

TEST_F(HijackTest, upgrades_and_carries_bytes_both_ways) {
  server_.start();
  auto client = server_.connect();
  client.send(
      "POST /attach HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: Upgrade\r\n"
      "Upgrade: tcp\r\nContent-Length: 0\r\n\r\n");
  std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 101 UPGRADED\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Type: application/vnd.docker.raw-stream\r\n"));
  EXPECT_THAT(head, HasSubstr("Connection: Upgrade\r\nUpgrade: tcp\r\n"));
  client.send("hello");
  EXPECT_EQ(client.read_until("HELLO"), "HELLO");
  client.send("again");
  EXPECT_EQ(client.read_until("AGAIN"), "AGAIN");
  client.shutdown_write();
  EXPECT_EQ(client.read_to_end(), "[end]");
}

TEST_F(HijackTest, takes_old_clients_without_an_upgrade) {
  server_.start();
  auto client = server_.connect();
  // With input behind the request in the same segment.
  client.send("POST /attach HTTP/1.1\r\nHost: x\r\n\r\nearly");
  std::string head = client.read_until("\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("chunked")));
  EXPECT_EQ(client.read_until("EARLY"), "EARLY");
  client.shutdown_write();
  EXPECT_EQ(client.read_to_end(), "[end]");
}

TEST_F(HijackTest, takes_stdin_sent_as_a_chunked_body) {
  server_.start();
  auto client = server_.connect();
  client.send("POST /attach HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read_until("ABC"), "ABC");
  client.send("2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_to_end(), "DE[end]");
}

TEST_F(HijackTest, starts_after_a_json_body) {
  server_.start();
  auto client = server_.connect();
  client.send(
      "POST /exec HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n"
      "Upgrade: tcp\r\nContent-Length: 2\r\n\r\n{}input");
  client.read_until("\r\n\r\n");
  EXPECT_EQ(client.read_until("INPUT"), "{}:INPUT");
  client.shutdown_write();
  EXPECT_EQ(client.read_to_end(), "[end]");
}

TEST_F(HijackTest, leaves_input_in_the_socket_until_it_is_asked_for) {
  Event opened;
  std::optional<Duplex> duplex;
  server_.router.add("POST", "/hold", [&](Request, Responder responder) {
    duplex.emplace(responder.hijack("application/vnd.docker.raw-stream"));
    opened.set();
  });
  server_.start();
  auto client = server_.connect();
  client.send("POST /hold HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  client.read_until("\r\n\r\n");
  EXPECT_TRUE(opened.wait());
  std::string piece(64 << 10, 'x');
  std::size_t sent = 0;
  ssize_t count = 0;
  while ((count = ::send(client.fd(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
    sent += static_cast<std::size_t>(count);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_LT(sent, 2u << 20);
  // Once it reads, everything arrives, and the client's leaving after that is no loss.
  client.close();
  std::atomic<std::size_t> got = 0;
  Event ended;
  std::function<void(Duplex::Input)> take = [&](Duplex::Input input) {
    if (input.end) return ended.set();
    got += input.bytes.size();
    duplex->read(take);
  };
  duplex->read(take);
  EXPECT_TRUE(ended.wait());
  EXPECT_EQ(got, sent);
  server_.stop();
}

TEST_F(HijackTest, keeps_writing_after_the_client_half_closed) {
  Event half_closed;
  Event gone;
  std::optional<Duplex> duplex;
  server_.router.add("POST", "/half", [&](Request, Responder responder) {
    duplex.emplace(responder.hijack("application/vnd.docker.raw-stream"));
    duplex->on_close([&] { gone.set(); });
    duplex->read([&](Duplex::Input input) {
      EXPECT_TRUE(input.end);
      half_closed.set();
    });
  });
  server_.start();
  auto client = server_.connect();
  client.send("POST /half HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  client.shutdown_write();
  client.read_until("\r\n\r\n");
  EXPECT_TRUE(half_closed.wait());
  EXPECT_TRUE(duplex->write("still here"));
  EXPECT_EQ(client.read_until("here"), "still here");
  client.close();
  EXPECT_TRUE(gone.wait());
  EXPECT_FALSE(duplex->try_write("x"));
  server_.stop();
}

TEST_F(HijackTest, ends_our_side_and_goes_on_reading) {
  std::promise<std::string> seen;
  std::optional<Duplex> duplex;
  server_.router.add("POST", "/shut", [&](Request, Responder responder) {
    duplex.emplace(responder.hijack("application/vnd.docker.raw-stream"));
    EXPECT_TRUE(duplex->write("bye"));
    duplex->shutdown_write();
    duplex->read([&](Duplex::Input input) { seen.set_value(std::string(input.bytes)); });
  });
  server_.start();
  auto client = server_.connect();
  client.send("POST /shut HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\nbye"));
  client.send("late");
  auto result = seen.get_future();
  ASSERT_EQ(result.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(result.get(), "late");
  server_.stop();
}

}  // namespace
}  // namespace holdfast::http
