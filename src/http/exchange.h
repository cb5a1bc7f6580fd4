#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/event_loop.h"
#include "http/responder.h"

namespace holdfast::http {

// One request's answer, between whoever makes it (any thread, through Responder, StreamWriter and
// Duplex) and the connection that sends it (the loop's thread). Shared by both; it never touches
// the connection, only wakes it. States:
//
//   waiting ──send()──────────────────────────────▶ finished
//      ├──begin_stream()──▶ streaming ──finish()──▶ finished
//      └──begin_hijack()──▶ hijacked ──close()────▶ finished
//
// and from each but finished: closed, once the client is gone, or the answer was dropped half-made.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  // What the answer's form depends on.
  struct Facts {
    bool head_only = false;  // HEAD
    bool http_1_0 = false;
    bool keep_alive = true;
    bool upgrade = false;
    std::string server;  // the Server header
  };
  // What the connection is to do next.
  struct Output {
    std::string bytes;  // to be sent first
    enum class Then { kNothing, kShutdownWrite, kNextRequest, kClose, kCut } then = Then::kNothing;
  };

  // Made on the loop. `wake` has the connection call take_output() soon.
  Exchange(EventLoop& loop, Facts facts, std::function<void()> wake);

  // For the side that answers.
  void send(Reply reply);
  void begin_stream(int status, HeaderList headers);
  void begin_hijack(std::string content_type);
  Status write(std::string_view bytes);
  bool try_write(std::string_view bytes);
  void when_writable(std::function<void()> ready);
  void on_close(std::function<void()> gone);
  void read(std::function<void(Duplex::Input)> got);
  bool open() const;
  void finish();  // a stream
  void shutdown_write();
  void close();  // a hijacked connection
  void drop_stream();
  void drop_responder();
  void annotate(std::string key, std::string value);

  // For the connection, on the loop.
  void send_continue();     // "100 Continue", before the answer
  void body_received();     // the request has been read to its end
  void handler_returned();  // from the handler's thread
  bool handler_running() const;
  Output take_output();
  void output_sent();
  bool hijacked() const;
  bool streaming() const;
  // Hands input to the read() under way, if any; false when there is none.
  bool deliver(Duplex::Input input);
  bool wants_input() const;
  // The client is gone or the server ends: runs the callbacks and lets writers go.
  void closed();
  int status() const;  // 0: not answered
  HeaderList details() const;

 private:
  enum class Phase { kWaiting, kStreaming, kHijacked, kFinished };

  std::size_t queued() const { return pending_.size() + in_flight_; }
  void append_body(std::string_view bytes);
  void wake_locked();
  void end_locked(Output::Then then);
  std::string head_locked(int status, std::string_view reason, const HeaderList& headers);

  EventLoop& loop_;
  const Facts facts_;
  const std::function<void()> wake_;
  const std::thread::id loop_thread_;

  mutable std::mutex mutex_;  // guards everything below; held for no callback
  std::condition_variable changed_;
  Phase phase_ = Phase::kWaiting;
  bool closed_ = false;
  bool body_received_ = false;
  bool handler_running_ = true;
  bool keep_alive_ = true;  // decided with the head
  bool chunked_ = false;
  bool bodyless_ = false;
  bool woken_ = false;
  int status_ = 0;
  std::string pending_;
  std::size_t in_flight_ = 0;
  Output::Then then_ = Output::Then::kNothing;
  std::vector<std::function<void()>> on_close_;
  std::function<void()> on_writable_;
  std::function<void(Duplex::Input)> read_;
  HeaderList details_;
};

}  // namespace holdfast::http
