#include "http/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <future>
#include <mutex>

#include "http/test_server.h"

namespace holdfast::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

int status_field(const char* name) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with(name)) return std::atoi(line.c_str() + std::strlen(name) + 1);
  return -1;
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    server_.router.add_simple(
        "GET", "/_ping",
        [](const Request&) -> Result<Reply> { return Reply::bytes("OK", "text/plain"); },
        {BodyKind::kSmall, Where::kLoop});
    server_.router.add_simple("POST", "/echo", [](const Request& request) -> Result<Reply> {
      return Reply::bytes(request.body, "text/plain");
    });
    server_.router.add("POST", "/count",
                       [](Request request, Responder responder) {
                         std::size_t total = 0;
                         char buffer[32 << 10];
                         while (true) {
                           auto count = request.upload->read(buffer, sizeof buffer);
                           if (!count) return responder.send_error(count.error());
                           if (*count == 0) break;
                           total += *count;
                         }
                         responder.send(Reply::bytes(std::to_string(total), "text/plain"));
                       },
                       {BodyKind::kUpload, Where::kTransfer});
  }

  TestServer server_;
};

TEST_F(ServerTest, answers_with_dockers_headers) {
  server_.start();
  std::string reply = server_.ask(get("/v1.41/_ping"));
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
  for (auto field :
       {"\r\nApi-Version: 1.50\r\n", "\r\nDocker-Experimental: false\r\n", "\r\nOstype: linux\r\n",
        "\r\nServer: Holdfast/test (linux)\r\n", "\r\nContent-Length: 2\r\n", "\r\n\r\nOK"})
    EXPECT_THAT(reply, HasSubstr(field));
}

TEST_F(ServerTest, answers_head_without_a_body) {
  server_.start();
  auto client = server_.connect();
  client.send("HEAD /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::string reply = client.read_to_end();
  EXPECT_THAT(reply, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_TRUE(reply.ends_with("\r\n\r\n")) << reply;
}

TEST_F(ServerTest, says_what_it_does_not_know) {
  server_.router.add_unbuilt("POST", "/build", "not built");
  server_.start();
  EXPECT_THAT(server_.ask(get("/nothing")),
              ::testing::AllOf(StartsWith("HTTP/1.1 404 Not Found"),
                               HasSubstr("{\"message\":\"page not found\"}")));
  EXPECT_THAT(server_.ask("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
              ::testing::AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: POST\r\n")));
  EXPECT_THAT(
      server_.ask("POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc"),
      ::testing::AllOf(StartsWith("HTTP/1.1 501 "), HasSubstr("{\"message\":\"not built\"}"),
                       HasSubstr("Connection: close\r\n")));
  EXPECT_THAT(server_.ask(get("/v1.12/_ping")),
              ::testing::AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("is too old")));
}

TEST_F(ServerTest, refuses_requests_of_web_pages) {
  server_.start();
  EXPECT_THAT(server_.ask("GET /_ping HTTP/1.1\r\nHost: x\r\nOrigin: http://evil\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
}

TEST_F(ServerTest, answers_pipelined_requests_in_order) {
  server_.start();
  auto client = server_.connect();
  std::string batch;
  for (int i = 0; i < 200; ++i)
    batch += i % 2 ? get("/_ping") : post_json("/echo", fmt::format("n{}", i));
  std::thread sender([&] { client.send(batch); });
  for (int i = 0; i < 200; ++i) {
    std::string reply = client.read_reply();
    ASSERT_TRUE(reply.ends_with(i % 2 ? "OK" : fmt::format("n{}", i))) << i << ": " << reply;
  }
  sender.join();
}

TEST_F(ServerTest, takes_a_request_byte_by_byte) {
  server_.start();
  auto client = server_.connect();
  for (char c : "\r\n" + post_json("/echo", "hello")) client.send({&c, 1});
  EXPECT_TRUE(client.read_reply().ends_with("\r\n\r\nhello"));
  for (char c : std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"))
    client.send({&c, 1});
  EXPECT_TRUE(client.read_reply().ends_with("\r\n\r\nabcde"));
}

TEST_F(ServerTest, survives_an_empty_chunked_body_that_comes_in_pieces) {
  server_.start();
  auto client = server_.connect();
  for (char c : std::string("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "0\r\n\r\n"))
    client.send({&c, 1});
  EXPECT_THAT(client.read_reply(), HasSubstr("Content-Length: 0\r\n"));
  EXPECT_TRUE(client.ask(get("/_ping")).ends_with("OK"));
}

// Each of these is read differently by some parser: a proxy or policy in front would see another
// request than we do.
TEST_F(ServerTest, refuses_requests_that_can_be_read_in_two_ways) {
  server_.start();
  const std::string start = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  const std::pair<const char*, std::string> requests[] = {
      {"two lengths", start + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"},
      {"the same length twice", start + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
      {"a list of lengths", start + "Content-Length: 3, 3\r\n\r\nabc"},
      {"a signed length", start + "Content-Length: +3\r\n\r\nabc"},
      {"a negative length", start + "Content-Length: -1\r\n\r\nabc"},
      {"a hexadecimal length", start + "Content-Length: 0x3\r\n\r\nabc"},
      {"a length beyond 64 bits", start + "Content-Length: 99999999999999999999\r\n\r\nabc"},
      {"an empty length", start + "Content-Length:\r\n\r\nabc"},
      {"length and chunked",
       start + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"chunked and length",
       start + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
      {"chunked twice",
       start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a coding before chunked", start + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"an unknown coding", start + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
      {"identity", start + "Transfer-Encoding: identity\r\n\r\nabc"},
      {"chunked in HTTP/1.0",
       "POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"a folded field", start + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
      {"a space before the colon", start + "Content-Length : 3\r\n\r\nabc"},
      {"a field without a name", start + ": x\r\n\r\n"},
      {"a bare line feed", "POST /echo HTTP/1.1\nHost: x\nContent-Length: 0\n\n\r\n\r\n"},
      {"a NUL in a value", start + std::string("X: a\0b\r\n\r\n", 10)},
      {"two hosts", start + "Host: y\r\nContent-Length: 0\r\n\r\n"},
      {"no host", "POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n"},
      {"no version", "POST /echo\r\nHost: x\r\n\r\n"},
      {"another version", "POST /echo HTTP/2.0\r\nHost: x\r\n\r\n"},
      {"a space in the target", "POST /ec ho HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"a bad chunk size", start + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"},
      {"a chunk longer than it says",
       start + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n"},
      {"a chunk size beyond 64 bits",
       start + "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n"},
      {"a bare line feed after a chunk size",
       start + "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"},
      {"a chunk size with a space",
       start + "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n"},
      {"a chunk size with a sign",
       start + "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"},
      {"endless chunk extensions",
       start + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(20000, 'x')},
      {"an expectation we don't know", start + "Expect: fireworks\r\nContent-Length: 0\r\n\r\n"},
  };
  for (const auto& [what, request] : requests) {
    auto client = server_.connect();
    client.send(request + get("/_ping"));
    std::string reply = client.read_to_end();
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 400 ")) << what;
    EXPECT_THAT(reply, HasSubstr("Connection: close")) << what;
    EXPECT_THAT(reply, Not(HasSubstr("200 OK"))) << what << ": a second request was seen";
  }
}

TEST_F(ServerTest, reads_a_body_of_length_zero_as_none) {
  server_.start();
  auto client = server_.connect();
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + get("/_ping"));
  EXPECT_THAT(client.read_reply(), HasSubstr("Content-Length: 0\r\n"));
  EXPECT_TRUE(client.read_reply().ends_with("OK"));
}

TEST_F(ServerTest, bounds_the_size_of_heads_and_bodies) {
  server_.options.limits.small_body_bytes = 1000;
  server_.start();
  auto with_field = [](std::size_t size) {
    return "GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + std::string(size, 'a') + "\r\n\r\n";
  };
  EXPECT_THAT(server_.ask(with_field(16000)), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(server_.ask(with_field(17000)), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(server_.ask("GET /" + std::string(40000, 'a')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(server_.ask(post_json("/echo", std::string(1000, 'a'))), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(server_.ask(post_json("/echo", std::string(1001, 'a'))), StartsWith("HTTP/1.1 413 "));
  std::string chunked = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 20; ++i) chunked += "64\r\n" + std::string(100, 'a') + "\r\n";
  EXPECT_THAT(server_.ask(chunked), StartsWith("HTTP/1.1 413 "));
}

TEST_F(ServerTest, closes_connections_that_miss_the_header_deadline) {
  server_.options.limits.header_deadline = 200ms;
  server_.start();
  auto silent = server_.connect();
  auto slow = server_.connect();
  slow.send("GET /_ping HTTP/1.1\r\nHo");
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(slow.read_to_end(), "");
  EXPECT_TRUE(server_.ask(get("/_ping")).ends_with("OK"));
}

TEST_F(ServerTest, closes_connections_that_miss_the_body_deadline) {
  server_.options.limits.body_deadline = 200ms;
  server_.start();
  auto client = server_.connect();
  client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(client.read_to_end(), "");
}

TEST_F(ServerTest, closes_the_longest_idle_connections_beyond_the_bound) {
  server_.options.limits.idle_connections = 3;
  server_.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(server_.connect());
    EXPECT_TRUE(clients.back().ask(get("/_ping")).ends_with("OK"));
  }
  EXPECT_EQ(clients[0].read_to_end(), "");
  EXPECT_TRUE(clients[4].ask(get("/_ping")).ends_with("OK"));
  EXPECT_TRUE(clients[2].ask(get("/_ping")).ends_with("OK"));
}

TEST_F(ServerTest, invites_a_body_that_waits_for_it) {
  server_.start();
  auto client = server_.connect();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_TRUE(client.read_reply().ends_with("hi"));
  client.send(
      "POST /count HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hi");
  EXPECT_TRUE(client.read_reply().ends_with("\r\n\r\n2"));
}

TEST_F(ServerTest, answers_http_1_0_and_closes) {
  server_.router.add("GET", "/stream", [](Request, Responder responder) {
    auto stream = responder.stream(200, {});
    EXPECT_TRUE(stream.write("one"));
    EXPECT_TRUE(stream.write("two"));
    stream.finish();
  });
  server_.start();
  auto client = server_.connect();
  client.send("GET /_ping HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\nOK"));
  auto other = server_.connect();
  other.send("GET /stream HTTP/1.0\r\n\r\n");
  std::string reply = other.read_to_end();
  EXPECT_TRUE(reply.ends_with("\r\n\r\nonetwo")) << reply;
  EXPECT_THAT(reply, Not(HasSubstr("chunked")));
}

TEST_F(ServerTest, answers_a_client_that_has_ended_its_side) {
  server_.start();
  auto client = server_.connect();
  client.send(post_json("/echo", "bye"));
  client.shutdown_write();
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\nbye"));
}

TEST_F(ServerTest, answers_500_when_a_handler_forgets_to) {
  server_.router.add("GET", "/forget", [](Request, Responder) {});
  server_.start();
  EXPECT_THAT(server_.ask(get("/forget")), StartsWith("HTTP/1.1 500 "));
}

TEST_F(ServerTest, lets_no_header_value_end_its_line) {
  server_.router.add_simple("GET", "/inject", [](const Request& request) -> Result<Reply> {
    return Reply{200, {{"X-Name", request.query.get("name")}}, "."};
  });
  server_.start();
  std::string reply = server_.ask(get("/inject?name=a%0d%0aSet-Cookie:%20x"));
  EXPECT_THAT(reply, HasSubstr("X-Name: a  Set-Cookie: x\r\n"));
}

// ---- Uploads ----

TEST_F(ServerTest, reads_uploads_and_keeps_the_connection) {
  server_.start();
  auto client = server_.connect();
  const std::size_t size = 20 << 20;
  std::thread sender([&] {
    client.send(fmt::format("POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", size));
    std::string piece(1 << 20, 'x');
    for (std::size_t sent = 0; sent < size; sent += piece.size()) client.send(piece);
    client.send(
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nabcd\r\n0\r\n\r\n");
  });
  EXPECT_TRUE(client.read_reply().ends_with(fmt::format("\r\n\r\n{}", size)));
  EXPECT_TRUE(client.read_reply().ends_with("\r\n\r\n4"));
  sender.join();
}

TEST_F(ServerTest, holds_an_upload_back_while_its_handler_is_busy) {
  Event may_read;
  server_.router.add(
      "POST", "/slow",
      [&](Request request, Responder responder) {
        EXPECT_TRUE(may_read.wait());
        auto body = request.upload->read_all(64 << 20);
        responder.send(Reply::bytes(std::to_string(body ? body->size() : 0), "text/plain"));
      },
      {BodyKind::kUpload, Where::kTransfer});
  server_.start();
  auto client = server_.connect();
  const std::size_t size = 16 << 20;
  std::atomic<std::size_t> sent = 0;
  std::thread sender([&] {
    client.send(fmt::format("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", size));
    std::string piece(64 << 10, 'x');
    for (; sent < size; sent += piece.size()) client.send(piece);
  });
  // The sender gets stuck once the bounded queue and the socket's buffers are full; meanwhile
  // others are served.
  EXPECT_TRUE(wait_until([&] { return sent >= BodyReader::kHighWater; }));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(server_.ask(get("/_ping")).ends_with("OK"));
  EXPECT_LT(sent, 4u << 20);
  may_read.set();
  EXPECT_TRUE(client.read_reply().ends_with(std::to_string(size)));
  sender.join();
}

TEST_F(ServerTest, tells_the_handler_that_an_upload_was_cut) {
  std::promise<std::string> seen;
  server_.router.add("POST", "/cut",
                     [&](Request request, Responder responder) {
                       auto body = request.upload->read_all(1 << 20);
                       seen.set_value(body ? "whole" : std::string(to_string(body.error().code)));
                       responder.send(Status{});
                     },
                     {BodyKind::kUpload, Where::kTransfer});
  server_.start();
  auto client = server_.connect();
  client.send("POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
  client.close();
  auto result = seen.get_future();
  ASSERT_EQ(result.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(result.get(), to_string(Code::kCancelled));
  server_.stop();
}

TEST_F(ServerTest, refuses_broken_chunks_of_an_upload) {
  server_.start();
  auto client = server_.connect();
  client.send(
      "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n" +
      get("/_ping"));
  std::string reply = client.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(reply, Not(HasSubstr("200 OK")));
}

TEST_F(ServerTest, delivers_an_answer_that_comes_before_the_upload_is_read) {
  server_.router.add("POST", "/refuse",
                     [](Request, Responder responder) {
                       responder.send_error(Error{Code::kConflict, 0, "no"});
                     },
                     {BodyKind::kUpload, Where::kTransfer});
  server_.start();
  auto client = server_.connect();
  client.send("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  client.send(std::string(500000, 'x'));
  std::string reply = client.read_to_end();
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 409 "));
  EXPECT_THAT(reply, HasSubstr("{\"message\":\"no\"}"));
}

// ---- Streams ----

TEST_F(ServerTest, streams_in_chunks_as_they_are_written) {
  Event go_on;
  server_.router.add("GET", "/stream", [&](Request, Responder responder) {
    auto stream = responder.stream(200, {{"Content-Type", "application/json"}});
    EXPECT_TRUE(stream.write("first\n"));
    EXPECT_TRUE(go_on.wait());
    EXPECT_TRUE(stream.write("second\n"));
    stream.finish();
  });
  server_.start();
  auto client = server_.connect();
  client.send(get("/stream"));
  EXPECT_THAT(client.read_until("first\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
  go_on.set();
  EXPECT_EQ(client.read_until("0\r\n\r\n"), "7\r\nsecond\n\r\n0\r\n\r\n");
  EXPECT_TRUE(client.ask(get("/_ping")).ends_with("OK"));
}

TEST_F(ServerTest, cuts_a_stream_that_is_dropped_unfinished) {
  server_.router.add("GET", "/half", [&](Request, Responder responder) {
    auto stream = responder.stream(200, {});
    EXPECT_TRUE(stream.write("part"));
  });
  server_.start();
  auto client = server_.connect();
  client.send(get("/half"));
  std::string reply = client.read_to_end();
  EXPECT_THAT(reply, HasSubstr("4\r\npart\r\n"));
  EXPECT_THAT(reply, Not(HasSubstr("\r\n0\r\n")));
}

TEST_F(ServerTest, keeps_a_slow_reader_from_filling_memory) {
  Event written;
  std::atomic<std::size_t> queued = 0;
  const std::size_t size = 16 << 20;
  server_.router.add("GET", "/big",
                     [&](Request, Responder responder) {
                       auto stream = responder.stream(200, {});
                       std::string piece(32 << 10, 'x');
                       for (; queued < size; queued += piece.size())
                         EXPECT_TRUE(stream.write(piece));
                       stream.finish();
                       written.set();
                     },
                     {BodyKind::kSmall, Where::kTransfer});
  server_.start();
  auto client = server_.connect();
  client.send(get("/big"));
  EXPECT_TRUE(wait_until([&] { return queued >= StreamWriter::kHighWater; }));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(server_.ask(get("/_ping")).ends_with("OK"));
  EXPECT_LT(queued, 4u << 20);
  EXPECT_TRUE(client.read_until("\r\n0\r\n\r\n").size() > size);
  EXPECT_TRUE(written.wait());
  server_.stop();
}

TEST_F(ServerTest, wakes_a_writer_whose_client_left) {
  std::promise<Code> seen;
  server_.router.add("GET", "/endless",
                     [&](Request, Responder responder) {
                       auto stream = responder.stream(200, {});
                       std::string piece(32 << 10, 'x');
                       while (true) {
                         auto status = stream.write(piece);
                         if (status) continue;
                         return seen.set_value(status.error().code);
                       }
                     },
                     {BodyKind::kSmall, Where::kTransfer});
  server_.start();
  auto client = server_.connect();
  client.send(get("/endless"));
  client.read_until("xxxx");
  client.close();
  auto result = seen.get_future();
  ASSERT_EQ(result.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(result.get(), Code::kCancelled);
  server_.stop();
}

TEST_F(ServerTest, never_queues_more_than_try_write_may_and_says_when_to_go_on) {
  struct Pump : std::enable_shared_from_this<Pump> {
    explicit Pump(StreamWriter writer) : stream(std::move(writer)) {}
    void run() {
      std::string piece(32 << 10, 'x');
      while (total < (8u << 20)) {
        if (!stream.try_write(piece)) {
          ++waits;
          return stream.when_writable([self = shared_from_this()] { self->run(); });
        }
        total += piece.size();
      }
      stream.finish();
      done.set();
    }
    StreamWriter stream;
    std::size_t total = 0;
    std::size_t waits = 0;
    Event done;
  };
  std::shared_ptr<Pump> pump;
  Event made;
  server_.router.add("GET", "/pump",
                     [&](Request, Responder responder) {
                       pump = std::make_shared<Pump>(responder.stream(200, {}));
                       made.set();
                       pump->run();
                     },
                     {BodyKind::kSmall, Where::kLoop});
  server_.start();
  auto client = server_.connect();
  client.send(get("/pump"));
  EXPECT_GT(client.read_until("\r\n0\r\n\r\n").size(), 8u << 20);
  EXPECT_TRUE(made.wait() && pump->done.wait());
  EXPECT_GT(pump->waits, 0u);
  server_.stop();
}

TEST_F(ServerTest, says_when_the_client_of_an_idle_stream_leaves) {
  Event gone;
  std::vector<StreamWriter> streams;
  server_.router.add("GET", "/events", [&](Request, Responder responder) {
    auto stream = responder.stream(200, {});
    stream.on_close([&] { gone.set(); });
    streams.push_back(std::move(stream));
  });
  server_.start();
  auto client = server_.connect();
  client.send(get("/events"));
  client.read_until("\r\n\r\n");
  client.close();
  EXPECT_TRUE(gone.wait());
  server_.stop();
}

TEST_F(ServerTest, says_when_the_client_leaves_before_the_answer) {
  Event gone;
  Event asked;
  std::vector<Responder> waiting;
  server_.router.add("POST", "/wait", [&](Request, Responder responder) {
    responder.on_close([&] { gone.set(); });
    waiting.push_back(std::move(responder));
    asked.set();
  });
  server_.start();
  auto client = server_.connect();
  client.send("POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(asked.wait());
  client.close();
  EXPECT_TRUE(gone.wait());
  server_.stop();
}

TEST_F(ServerTest, holds_no_thread_for_a_thousand_idle_streams) {
  constexpr int kStreams = 1000;
  std::mutex mutex;
  std::vector<StreamWriter> streams;
  std::atomic<int> gone = 0;
  server_.router.add("GET", "/events", [&](Request, Responder responder) {
    auto stream = responder.stream(200, {});
    stream.on_close([&] { ++gone; });
    std::lock_guard lock(mutex);
    streams.push_back(std::move(stream));
  });
  server_.start();
  std::vector<RawClient> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(server_.connect());
    ASSERT_TRUE(clients.back().connected()) << i;
    clients.back().send(get("/events"));
    ASSERT_THAT(clients.back().read_until("\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  }
  // The loop, at most the request pool, and the test itself (and a sanitizer's thread).
  EXPECT_LE(status_field("Threads:"), 4 + 3);
  // The head may be there before the handler has put its stream away.
  EXPECT_TRUE(wait_until([&] {
    std::lock_guard lock(mutex);
    return streams.size() == std::size_t{kStreams};
  }));
  {
    std::lock_guard lock(mutex);
    for (auto& stream : streams) EXPECT_TRUE(stream.try_write("event\n"));
  }
  for (auto& client : clients) client.read_until("event\n");
  EXPECT_TRUE(server_.ask(get("/_ping")).ends_with("OK"));
  for (auto& client : clients) client.close();
  EXPECT_TRUE(wait_until([&] { return gone == kStreams; }));
  server_.stop();
}

// ---- Listening and stopping ----

TEST_F(ServerTest, makes_a_socket_that_only_owner_and_group_may_use) {
  server_.start();
  struct stat status = {};
  ASSERT_EQ(::stat(server_.socket_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0660u);
  server_.stop();
  EXPECT_FALSE(file_exists(server_.socket_path()));
}

TEST_F(ServerTest, replaces_a_dead_socket_but_not_a_live_one) {
  server_.start();
  auto second = [&] {
    return Server::create(server_.loop, server_.requests, server_.transfers, Router(),
                          server_.options);
  };
  auto refused = second();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kAlreadyExists);
  EXPECT_TRUE(server_.ask(get("/_ping")).ends_with("OK"));
  server_.stop();
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, server_.socket_path().c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_TRUE(second());
  EXPECT_FALSE(file_exists(server_.socket_path()));
  ASSERT_TRUE(write_file_atomic(server_.socket_path(), "data", 0600, false));
  EXPECT_FALSE(second());
  EXPECT_EQ(*read_file(server_.socket_path()), "data");
  ASSERT_TRUE(remove_file(server_.socket_path()));
}

TEST_F(ServerTest, listens_on_no_tcp_port_without_verified_clients) {
  server_.options.hosts = {"tcp://127.0.0.1:0"};
  auto refused =
      Server::create(server_.loop, server_.requests, server_.transfers, Router(), server_.options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("--tlsverify"));
}

TEST_F(ServerTest, finishes_answers_under_way_when_it_stops) {
  Event asked;
  Event may_answer;
  server_.router.add("GET", "/slow", [&](Request, Responder responder) {
    asked.set();
    EXPECT_TRUE(may_answer.wait());
    responder.send(Reply::bytes("done", "text/plain"));
  });
  server_.start();
  auto idle = server_.connect();
  idle.ask(get("/_ping"));
  auto client = server_.connect();
  client.send(get("/slow"));
  EXPECT_TRUE(asked.wait());
  std::thread stopper([&] { server_.server->stop(kDeadline); });
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_FALSE(server_.connect().connected());
  may_answer.set();
  EXPECT_TRUE(client.read_to_end().ends_with("\r\n\r\ndone"));
  stopper.join();
}

TEST_F(ServerTest, cuts_idle_streams_at_once_when_it_stops) {
  std::vector<StreamWriter> streams;
  Event gone;
  server_.router.add("GET", "/events", [&](Request, Responder responder) {
    streams.push_back(responder.stream(200, {}));
    streams.back().on_close([&] { gone.set(); });
  });
  server_.start();
  auto client = server_.connect();
  client.send(get("/events"));
  client.read_until("\r\n\r\n");
  auto before = std::chrono::steady_clock::now();
  server_.server->stop(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 30s);
  EXPECT_TRUE(gone.wait());
  EXPECT_EQ(client.read_to_end(), "");
  server_.stop();
}

TEST_F(ServerTest, records_who_asked_for_what) {
  std::mutex mutex;
  std::vector<AuditRecord> records;
  Event done;
  server_.options.audit = [&](const AuditRecord& record) {
    std::lock_guard lock(mutex);
    records.push_back(record);
    if (records.size() == 2) done.set();
  };
  server_.router.add("POST", "/create", [](Request, Responder responder) {
    responder.annotate("source", "/srv/data");
    responder.send(Reply::empty(201));
  });
  server_.start();
  server_.ask(post_json("/create?name=db&token=hunter2", "{}"));
  server_.ask(get("/nothing"));
  EXPECT_TRUE(done.wait());
  server_.stop();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].method, "POST");
  EXPECT_EQ(records[0].target, "/create?name=db&token=***");
  EXPECT_EQ(records[0].status, 201);
  EXPECT_EQ(records[0].peer.uid, ::getuid());
  EXPECT_EQ(records[0].peer.pid, ::getpid());
  EXPECT_EQ(records[0].details, (HeaderList{{"source", "/srv/data"}}));
  EXPECT_EQ(records[1].status, 404);
}

}  // namespace
}  // namespace holdfast::http
