#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "http/exchange.h"
#include "http/request_parser.h"
#include "http/router.h"
#include "http/server.h"
#include "http/transport.h"

namespace holdfast::http {

class Connection;

// What connections need of the server. Outlives them.
class ConnectionOwner {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual EventLoop& loop() = 0;
  virtual const Router& router() const = 0;
  virtual const ServerOptions& options() const = 0;
  // Runs the route's handler where the route wants it.
  virtual void run(const Router::Route& route, Request request,
                   std::shared_ptr<Exchange> exchange) = 0;
  // A connection has a deadline, to be looked at by check_deadline() when it has passed.
  virtual void expect_deadline() = 0;
  virtual void ended(const std::shared_ptr<Connection>& connection) = 0;

 protected:
  ~ConnectionOwner() = default;
};

// One client's connection: reads requests, one at a time, and sends their answers. Made by the
// server and held by it until ended(); only for the loop's thread. States:
//
//   idle ──bytes──▶ head ──▶ body ──▶ answering ──▶ idle (keep-alive)
//                    └─ refused ─────▶ answering ──▶ lingering ──▶ closed
//
// and closed from each, when the client goes away, a deadline passes or the server stops.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using TimePoint = ConnectionOwner::TimePoint;

  Connection(ConnectionOwner& owner, std::shared_ptr<Transport> transport, Peer peer);

  void start();
  // The server is stopping: closes now, unless a handler is at work on an answer; then after it.
  void stop();
  void close();

  // Since when it has been waiting for a request; nullopt while there is one.
  std::optional<TimePoint> idle_since() const;
  // Closes the connection if its deadline has passed; says whether it (still) has one.
  bool check_deadline(TimePoint now);

 private:
  enum class State { kIdle, kHead, kBody, kAnswering, kLingering, kClosed };

  // Input.
  void read_more();
  bool wants_read() const;
  void on_read(std::string_view bytes, Transport::End end);
  void on_end(Transport::End end);
  void on_hangup();
  void process();
  bool feed();
  bool on_head();
  bool on_body();
  void feed_input();
  void feed_upload();
  void feed_duplex();
  bool next_input(std::string& bytes);

  // Requests.
  void open_exchange(bool keep_alive);
  Status check_origin() const;
  void choose_route();
  void dispatch();
  void refuse(int status, std::string message, HeaderList headers = {});

  // Output.
  void attend();
  void flush();
  void sent(bool ok);
  void next_request();
  void linger();
  void end_exchange();

  void become_idle();
  void set_deadline(std::chrono::milliseconds delay);

  ConnectionOwner& owner_;
  const std::shared_ptr<Transport> transport_;
  Peer peer_;
  State state_ = State::kIdle;
  std::optional<TimePoint> deadline_;
  TimePoint idle_since_;
  bool stopping_ = false;

  std::string in_;  // received and not used yet
  bool reading_ = false;
  bool peer_ended_ = false;
  bool hangup_watched_ = false;

  // The request under way.
  std::unique_ptr<RequestParser> parser_;
  const Router::Route* route_ = nullptr;
  Request request_;
  std::shared_ptr<BodyReader> upload_;
  bool upload_paused_ = false;
  bool body_done_ = false;  // as far as it will be read
  bool raw_input_ = false;  // of a hijacked connection: no HTTP framing
  std::shared_ptr<Exchange> exchange_;
  Time started_at_;
  TimePoint started_;

  std::string out_;  // being written
  Exchange::Output::Then then_ = Exchange::Output::Then::kNothing;
  bool writing_ = false;
  bool flush_again_ = false;
};

}  // namespace holdfast::http
