#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

// The ways to answer a request. All of these objects may be used from any thread, may outlive the
// handler, and hold no thread while they wait. Callbacks run on the event loop and must not block.
namespace holdfast::http {

class Exchange;

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// A whole answer.
struct Reply {
  int status = 200;
  HeaderList headers;
  std::string body;

  static Reply json(const json::Value& value, int status = 200);
  static Reply bytes(std::string body, std::string content_type, int status = 200);
  static Reply empty(int status = 204) { return Reply{status, {}, {}}; }
  // {"message": …} with the status of the code.
  static Reply error(const Error& error);
};

// The body of an answer whose length isn't known at its start, sent in chunks as it is written. One
// owner. Dropping it without finish() cuts the connection, so that a client never takes a part for
// the whole.
class StreamWriter {
 public:
  // What may wait unsent: a client that reads slowly costs this much memory and no more.
  static constexpr std::size_t kHighWater = 256 << 10;

  StreamWriter(StreamWriter&&) noexcept = default;
  StreamWriter& operator=(StreamWriter&& other) noexcept;
  ~StreamWriter();

  // Queues the bytes, waiting while more than kHighWater is queued: for threads that may block,
  // never for the loop's. kCancelled once the client is gone.
  Status write(std::string_view bytes);

  // Queues the bytes without waiting. False, with nothing queued, when kHighWater is reached (see
  // when_writable) or the client is gone.
  [[nodiscard]] bool try_write(std::string_view bytes);

  // Calls `ready` once, soon, when try_write() will accept again. Not called once the client is
  // gone.
  void when_writable(std::function<void()> ready);

  // Calls `gone` once if the client leaves or the server stops before finish(); soon, if it already
  // has.
  void on_close(std::function<void()> gone);

  bool open() const;

  // Ends the body properly. The object is of no further use.
  void finish();

 private:
  friend class Responder;
  explicit StreamWriter(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  std::shared_ptr<Exchange> exchange_;
};

// A connection that has left HTTP: bytes both ways until both sides have ended theirs (attach,
// exec). One owner. Dropping it sends what is queued and closes the connection.
class Duplex {
 public:
  static constexpr std::size_t kHighWater = StreamWriter::kHighWater;

  // What a read brought: bytes (valid during the callback only), or `end` when the client has ended
  // its side (half-closed stdin) or is gone.
  struct Input {
    std::string_view bytes;
    bool end = false;
  };

  Duplex(Duplex&&) noexcept = default;
  Duplex& operator=(Duplex&& other) noexcept;
  ~Duplex();

  // Calls `got` once with what comes next. One read at a time: not asking again leaves further
  // input in the socket, which is how a container that doesn't read its stdin holds its client
  // back.
  void read(std::function<void(Input)> got);

  // As StreamWriter's.
  Status write(std::string_view bytes);
  [[nodiscard]] bool try_write(std::string_view bytes);
  void when_writable(std::function<void()> ready);
  void on_close(std::function<void()> gone);
  bool open() const;

  // Ends our side once what is queued is sent; the client may go on sending.
  void shutdown_write();
  // Sends what is queued, then closes both sides. on_close is not called.
  void close();

 private:
  friend class Responder;
  explicit Duplex(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  std::shared_ptr<Exchange> exchange_;
};

// The right to answer one request, once. One owner. Dropped unused, it answers 500.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&&) = delete;
  ~Responder();

  void send(Reply reply);
  void send_error(const Error& error) { send(Reply::error(error)); }
  // A result of nothing is 204.
  void send(const Status& status);

  // Sends the head at once and leaves the body to the writer.
  StreamWriter stream(int status, HeaderList headers);

  // Takes the connection out of HTTP: "101 UPGRADED" when the client asked for an upgrade, "200 OK"
  // for older ones. A body that the client still is sending then is the Duplex's input.
  Duplex hijack(std::string content_type);

  // Calls `gone` once if the client leaves or the server stops before the answer is complete.
  void on_close(std::function<void()> gone);

  // Adds a detail to the request's line in the audit log, such as a bind mount's resolved source.
  void annotate(std::string key, std::string value);

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace holdfast::http
