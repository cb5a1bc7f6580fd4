#include "http/exchange.h"

#include "http/reply_head.h"

namespace holdfast::http {
namespace {

// A write is queued in pieces of this size, so that one huge write waits like many small ones.
constexpr std::size_t kPiece = 64 << 10;

bool has_no_body(int status) { return status == 204 || status == 304; }

tl::unexpected<Error> client_gone() {
  return fail(Code::kCancelled, "the client closed the connection");
}

}  // namespace

Exchange::Exchange(EventLoop& loop, Facts facts, std::function<void()> wake)
    : loop_(loop),
      facts_(std::move(facts)),
      wake_(std::move(wake)),
      loop_thread_(std::this_thread::get_id()) {}

void Exchange::wake_locked() {
  if (woken_ || closed_) return;
  woken_ = true;
  wake_();
}

void Exchange::end_locked(Output::Then then) {
  phase_ = Phase::kFinished;
  then_ = then;
  if (!closed_ && (!on_close_.empty() || on_writable_ || read_)) {
    // The callbacks may own what owns this object, and their destructors may come back here: they
    // end later, on the loop, without the lock.
    struct Callbacks {
      std::vector<std::function<void()>> gone;
      std::function<void()> ready;
      std::function<void(Duplex::Input)> got;
    };
    auto callbacks = std::make_shared<Callbacks>();
    callbacks->gone.swap(on_close_);
    callbacks->ready.swap(on_writable_);
    callbacks->got.swap(read_);
    loop_.post([callbacks] {});
  }
  wake_locked();
}

std::string Exchange::head_locked(int status, std::string_view reason, const HeaderList& headers) {
  status_ = status;
  return format_reply_head(status, reason, facts_.server, headers);
}

void Exchange::send(Reply reply) {
  std::lock_guard lock(mutex_);
  CHECK(phase_ == Phase::kWaiting);
  // Where the rest of a body ends that nobody read is not known: no request can follow it.
  keep_alive_ = facts_.keep_alive && body_received_;
  if (!has_no_body(reply.status))
    reply.headers.emplace_back("Content-Length", std::to_string(reply.body.size()));
  if (!keep_alive_) reply.headers.emplace_back("Connection", "close");
  pending_ += head_locked(reply.status, reason_phrase(reply.status), reply.headers);
  if (!facts_.head_only && !has_no_body(reply.status)) pending_ += reply.body;
  end_locked(keep_alive_ ? Output::Then::kNextRequest : Output::Then::kClose);
}

void Exchange::begin_stream(int status, HeaderList headers) {
  std::lock_guard lock(mutex_);
  CHECK(phase_ == Phase::kWaiting);
  phase_ = Phase::kStreaming;
  chunked_ = !facts_.http_1_0;
  bodyless_ = facts_.head_only || has_no_body(status);
  // An upload may still be on its way when its progress stream begins; whether the connection can
  // go on is decided at the end.
  keep_alive_ = facts_.keep_alive && chunked_;
  if (chunked_ && !has_no_body(status)) headers.emplace_back("Transfer-Encoding", "chunked");
  if (!keep_alive_) headers.emplace_back("Connection", "close");
  pending_ += head_locked(status, reason_phrase(status), headers);
  wake_locked();
}

void Exchange::begin_hijack(std::string content_type) {
  std::lock_guard lock(mutex_);
  CHECK(phase_ == Phase::kWaiting);
  phase_ = Phase::kHijacked;
  keep_alive_ = false;
  HeaderList headers = {{"Content-Type", std::move(content_type)}};
  if (facts_.upgrade) {
    headers.emplace_back("Connection", "Upgrade");
    headers.emplace_back("Upgrade", "tcp");
    pending_ += head_locked(101, reason_phrase(101), headers);
  } else {
    pending_ += head_locked(200, reason_phrase(200), headers);
  }
  wake_locked();
}

void Exchange::append_body(std::string_view bytes) {
  if (bodyless_ || bytes.empty()) return;
  if (chunked_) {
    fmt::format_to(std::back_inserter(pending_), "{:x}\r\n", bytes.size());
    pending_.append(bytes).append("\r\n");
  } else {
    pending_.append(bytes);
  }
}

Status Exchange::write(std::string_view bytes) {
  // The loop is what empties the queue: waiting on it there would be for ever.
  CHECK(std::this_thread::get_id() != loop_thread_);
  std::unique_lock lock(mutex_);
  do {
    changed_.wait(lock, [this] { return closed_ || queued() < StreamWriter::kHighWater; });
    if (closed_ || phase_ == Phase::kFinished) return client_gone();
    std::string_view piece = bytes.substr(0, kPiece);
    append_body(piece);
    bytes.remove_prefix(piece.size());
    wake_locked();
  } while (!bytes.empty());
  return {};
}

bool Exchange::try_write(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (closed_ || phase_ == Phase::kFinished || queued() >= StreamWriter::kHighWater) return false;
  append_body(bytes);
  wake_locked();
  return true;
}

void Exchange::when_writable(std::function<void()> ready) {
  std::lock_guard lock(mutex_);
  if (closed_ || phase_ == Phase::kFinished) return;
  if (queued() < StreamWriter::kHighWater) {
    loop_.post(std::move(ready));
  } else {
    on_writable_ = std::move(ready);
  }
}

void Exchange::on_close(std::function<void()> gone) {
  std::lock_guard lock(mutex_);
  if (phase_ == Phase::kFinished) return;
  if (closed_) {
    loop_.post(std::move(gone));
  } else {
    on_close_.push_back(std::move(gone));
  }
}

void Exchange::read(std::function<void(Duplex::Input)> got) {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kHijacked) return;
  if (closed_) {
    loop_.post([got = std::move(got)] { got(Duplex::Input{{}, true}); });
    return;
  }
  read_ = std::move(got);
  wake_locked();
}

bool Exchange::open() const {
  std::lock_guard lock(mutex_);
  return !closed_ && phase_ != Phase::kFinished;
}

void Exchange::finish() {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kStreaming) return;
  if (chunked_ && !bodyless_ && !closed_) pending_ += "0\r\n\r\n";
  end_locked(keep_alive_ && body_received_ ? Output::Then::kNextRequest : Output::Then::kClose);
}

void Exchange::drop_stream() {
  std::lock_guard lock(mutex_);
  if (phase_ == Phase::kStreaming) end_locked(Output::Then::kCut);
}

void Exchange::shutdown_write() {
  std::lock_guard lock(mutex_);
  if (phase_ != Phase::kHijacked) return;
  then_ = Output::Then::kShutdownWrite;
  wake_locked();
}

void Exchange::close() {
  std::lock_guard lock(mutex_);
  if (phase_ == Phase::kHijacked) end_locked(Output::Then::kClose);
}

void Exchange::drop_responder() {
  {
    std::lock_guard lock(mutex_);
    if (phase_ != Phase::kWaiting) return;
  }
  send(Reply::error(Error{Code::kInternal, 0, "the request was dropped without an answer"}));
}

void Exchange::annotate(std::string key, std::string value) {
  std::lock_guard lock(mutex_);
  details_.emplace_back(std::move(key), std::move(value));
}

void Exchange::send_continue() {
  std::lock_guard lock(mutex_);
  pending_ += "HTTP/1.1 100 Continue\r\n\r\n";
  wake_locked();
}

void Exchange::body_received() {
  std::lock_guard lock(mutex_);
  body_received_ = true;
}

void Exchange::handler_returned() {
  std::lock_guard lock(mutex_);
  handler_running_ = false;
  // A stopping server cuts streams that nobody is filling.
  if (phase_ == Phase::kStreaming || phase_ == Phase::kHijacked) wake_locked();
}

bool Exchange::handler_running() const {
  std::lock_guard lock(mutex_);
  return handler_running_;
}

Exchange::Output Exchange::take_output() {
  std::lock_guard lock(mutex_);
  woken_ = false;
  Output output;
  output.bytes = std::exchange(pending_, {});
  in_flight_ = output.bytes.size();
  output.then = then_;
  // Done once; what ends the exchange stays.
  if (then_ == Output::Then::kShutdownWrite) then_ = Output::Then::kNothing;
  return output;
}

void Exchange::output_sent() {
  std::function<void()> ready;
  {
    std::lock_guard lock(mutex_);
    in_flight_ = 0;
    if (queued() <= StreamWriter::kHighWater / 2) ready = std::exchange(on_writable_, nullptr);
    changed_.notify_all();
  }
  if (ready) ready();
}

bool Exchange::hijacked() const {
  std::lock_guard lock(mutex_);
  return phase_ == Phase::kHijacked;
}

bool Exchange::streaming() const {
  std::lock_guard lock(mutex_);
  return phase_ == Phase::kStreaming || phase_ == Phase::kHijacked;
}

bool Exchange::wants_input() const {
  std::lock_guard lock(mutex_);
  return read_ != nullptr;
}

bool Exchange::deliver(Duplex::Input input) {
  std::function<void(Duplex::Input)> got;
  {
    std::lock_guard lock(mutex_);
    got = std::exchange(read_, nullptr);
  }
  if (!got) return false;
  got(input);
  return true;
}

void Exchange::closed() {
  std::vector<std::function<void()>> gone;
  std::function<void()> ready;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    pending_.clear();
    pending_.shrink_to_fit();
    in_flight_ = 0;
    gone = std::exchange(on_close_, {});
    ready = std::exchange(on_writable_, nullptr);
    changed_.notify_all();
  }
  deliver(Duplex::Input{{}, true});
  for (auto& callback : gone) callback();
}

int Exchange::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

HeaderList Exchange::details() const {
  std::lock_guard lock(mutex_);
  return details_;
}

}  // namespace holdfast::http
