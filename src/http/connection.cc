#include "http/connection.h"

#include "base/secret_bytes.h"
#include "http/audit_log.h"

namespace holdfast::http {
namespace {

using Then = Exchange::Output::Then;

// How much of a pipelined request is taken off the socket while the one before is being answered.
constexpr std::size_t kReadAhead = 16 << 10;
// How long a client may take to read an answer that came before it had sent its whole request.
constexpr auto kLingerTime = std::chrono::seconds(2);
// What the audit log says of a request whose client left before the answer (nginx's number).
constexpr int kClientClosedRequest = 499;

std::string join_path(const std::vector<std::string>& segments) {
  std::string path;
  for (const std::string& segment : segments) path += "/" + segment;
  return path;
}

Reply message_reply(int status, std::string message, HeaderList headers) {
  Reply reply = Reply::json(json::Object{{"message", std::move(message)}}, status);
  for (auto& header : headers) reply.headers.push_back(std::move(header));
  return reply;
}

}  // namespace

Connection::Connection(ConnectionOwner& owner, std::shared_ptr<Transport> transport, Peer peer)
    : owner_(owner),
      transport_(std::move(transport)),
      peer_(std::move(peer)),
      idle_since_(std::chrono::steady_clock::now()) {}

void Connection::start() {
  // Whoever connects has something to ask: the first request has the shorter deadline from the
  // start.
  set_deadline(owner_.options().limits.header_deadline);
  read_more();
}

std::optional<Connection::TimePoint> Connection::idle_since() const {
  if (state_ != State::kIdle) return std::nullopt;
  return idle_since_;
}

void Connection::set_deadline(std::chrono::milliseconds delay) {
  deadline_ = std::chrono::steady_clock::now() + delay;
  owner_.expect_deadline();
}

bool Connection::check_deadline(TimePoint now) {
  if (deadline_ && now >= *deadline_) close();
  return deadline_.has_value();
}

void Connection::stop() {
  stopping_ = true;
  bool parked =
      state_ == State::kAnswering && exchange_->streaming() && !exchange_->handler_running();
  if (state_ != State::kAnswering || parked) close();
}

void Connection::close() {
  if (state_ == State::kClosed) return;
  auto self = shared_from_this();
  state_ = State::kClosed;
  deadline_.reset();
  transport_->close();
  end_exchange();
  in_.clear();
  in_.shrink_to_fit();
  owner_.ended(self);
}

// ---- Input ----

bool Connection::wants_read() const {
  switch (state_) {
    case State::kIdle:
    case State::kHead:
    case State::kBody:
    case State::kLingering:
      return true;
    case State::kClosed:
      return false;
    case State::kAnswering:
      break;
  }
  if (exchange_->hijacked()) return exchange_->wants_input();
  if (upload_ && !body_done_) return !upload_paused_;
  // Reading is also how a client that leaves is noticed.
  return in_.size() < kReadAhead;
}

void Connection::read_more() {
  if (reading_ || peer_ended_ || !wants_read()) return;
  reading_ = true;
  transport_->read([self = shared_from_this()](std::string_view bytes, Transport::End end) {
    self->on_read(bytes, end);
  });
}

void Connection::on_read(std::string_view bytes, Transport::End end) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (end != Transport::End::kNone) return on_end(end);
  if (state_ == State::kLingering) return read_more();
  bool direct = state_ == State::kAnswering && raw_input_ && in_.empty();
  if (direct && exchange_->deliver(Duplex::Input{bytes, false})) return read_more();
  in_.append(bytes);
  process();
}

void Connection::on_end(Transport::End end) {
  peer_ended_ = true;
  if (state_ == State::kAnswering) feed_input();  // tells readers of the body or the input
  if (end == Transport::End::kGone || state_ == State::kLingering) return close();
  process();
  if (state_ != State::kAnswering || hangup_watched_) return;
  // It may still be waiting for its answer; only when it closes its other side too it is gone.
  hangup_watched_ = true;
  transport_->watch_hangup([self = shared_from_this()] { self->on_hangup(); });
}

void Connection::on_hangup() {
  // Input that it sent before is still good: reading it leads to the end.
  bool unread = exchange_ && exchange_->hijacked() &&
                (!in_.empty() || (!peer_ended_ && transport_->has_input()));
  if (!unread) close();
}

void Connection::process() {
  while ((state_ == State::kIdle || state_ == State::kHead || state_ == State::kBody) && feed()) {
  }
  if (state_ == State::kAnswering) feed_input();
  if (peer_ended_ && state_ != State::kAnswering) return close();
  read_more();
}

bool Connection::feed() {
  if (in_.empty()) return false;
  const Limits& limits = owner_.options().limits;
  if (state_ == State::kIdle) {
    state_ = State::kHead;
    parser_ = std::make_unique<RequestParser>(limits.header_bytes);
    started_at_ = now();
    started_ = std::chrono::steady_clock::now();
    set_deadline(limits.header_deadline);
  }
  auto used = parser_->feed(in_);
  if (!used) {
    // Where a next request would begin is unknown: nothing that follows may be taken for one.
    if (!exchange_) open_exchange(false);
    refuse(used.error().code == Code::kResourceExhausted ? 431 : 400, used.error().message);
    return false;
  }
  in_.erase(0, *used);
  if (state_ == State::kBody) {
    if (route_->options.confidential) wipe_spare(in_);
    return on_body() && *used > 0;
  }
  if (parser_->head_done()) return on_head();
  if (*used > 0 && in_.empty()) become_idle();  // an empty line between requests
  return *used > 0;
}

bool Connection::on_head() {
  deadline_.reset();
  open_exchange(parser_->head().keep_alive);
  choose_route();
  if (state_ != State::kHead) return false;  // refused
  if (parser_->done()) {
    body_done_ = true;
    exchange_->body_received();
  } else if (parser_->head().expects_continue && in_.empty()) {
    exchange_->send_continue();
  }
  if (body_done_ || route_->options.body != BodyKind::kSmall) {
    dispatch();
    return false;
  }
  state_ = State::kBody;
  set_deadline(owner_.options().limits.body_deadline);
  return true;
}

bool Connection::on_body() {
  std::string bytes = parser_->take_body();
  if (route_->options.confidential) {
    append_wiping(request_.body, bytes);
    wipe(bytes);
    Transport::forget_input();
  } else {
    request_.body += bytes;
  }
  if (request_.body.size() > owner_.options().limits.small_body_bytes) {
    refuse(413, "request body too large");
    return false;
  }
  if (!parser_->done()) return true;
  deadline_.reset();
  body_done_ = true;
  exchange_->body_received();
  dispatch();
  return false;
}

void Connection::feed_input() {
  if (exchange_->hijacked()) {
    feed_duplex();
  } else if (upload_) {
    feed_upload();
  }
}

void Connection::feed_upload() {
  while (!body_done_ && !upload_paused_ && !in_.empty()) {
    auto used = parser_->feed(in_);
    if (!used) {
      body_done_ = true;
      in_.clear();
      upload_->abort(std::move(used).error());
      return;
    }
    in_.erase(0, *used);
    std::string bytes = parser_->take_body();
    if (!bytes.empty()) upload_paused_ = !upload_->push(bytes);
    if (parser_->done()) {
      // In this order: once the handler sees the end it may answer, and the connection be kept.
      body_done_ = true;
      exchange_->body_received();
      upload_->finish();
    } else if (*used == 0) {
      break;
    }
  }
  if (!body_done_ && !upload_paused_ && peer_ended_) {
    body_done_ = true;
    upload_->abort(Error{Code::kCancelled, 0, "unexpected EOF"});
  }
}

// The next input of a hijacked connection, as far as it is here; false at its end.
bool Connection::next_input(std::string& bytes) {
  if (raw_input_) {
    bytes = std::exchange(in_, {});
    return !bytes.empty() || !peer_ended_;
  }
  if (!in_.empty() && !parser_->done()) {
    auto used = parser_->feed(in_);
    if (!used) return false;
    in_.erase(0, *used);
    bytes = parser_->take_body();
  }
  return !bytes.empty() || (!parser_->done() && !peer_ended_);
}

void Connection::feed_duplex() {
  if (!hangup_watched_) {
    hangup_watched_ = true;
    raw_input_ = body_done_;
    transport_->watch_hangup([self = shared_from_this()] { self->on_hangup(); });
  }
  while (state_ == State::kAnswering && exchange_->wants_input()) {
    std::string bytes;
    if (!next_input(bytes)) {
      exchange_->deliver(Duplex::Input{{}, true});
      return;
    }
    if (bytes.empty()) return;
    exchange_->deliver(Duplex::Input{bytes, false});
  }
}

// ---- Requests ----

void Connection::open_exchange(bool keep_alive) {
  Exchange::Facts facts;
  facts.keep_alive = keep_alive;
  if (parser_->head_done()) {
    const RequestHead& head = parser_->head();
    facts.head_only = head.method == "HEAD";
    facts.http_1_0 = head.http_1_0;
    facts.upgrade = head.upgrade;
  }
  facts.server = fmt::format("Holdfast/{} (linux)", owner_.options().version);
  exchange_ = std::make_shared<Exchange>(owner_.loop(), std::move(facts),
                                         [weak = weak_from_this(), &loop = owner_.loop()] {
                                           loop.post([weak] {
                                             if (auto self = weak.lock()) self->attend();
                                           });
                                         });
}

// A browser names the page a request comes from, and no page has business with this API: neither
// one that guesses the socket's address nor one that had its name resolve to it.
Status Connection::check_origin() const {
  const std::string* origin = parser_->head().headers.find("Origin");
  if (!origin) return {};
  return fail(Code::kPermissionDenied, "requests from web pages are refused (Origin {})", *origin);
}

void Connection::choose_route() {
  const RequestHead& head = parser_->head();
  if (auto allowed = check_origin(); !allowed) return refuse(403, allowed.error().message);
  auto target = parse_target(head.target);
  if (!target) return refuse(400, target.error().message);
  auto match = owner_.router().match(head.method, target->segments);
  if (!match.route && match.allowed_methods.empty()) return refuse(404, "page not found");
  if (!match.route) return refuse(405, "method not allowed", {{"Allow", match.allowed_methods}});
  if (match.route->options.body == BodyKind::kSmall &&
      head.content_length.value_or(0) > owner_.options().limits.small_body_bytes)
    return refuse(413, "request body too large");
  route_ = match.route;
  request_.method = head.method;
  request_.path = join_path(target->segments);
  request_.segments = std::move(target->segments);
  request_.version = target->version;
  request_.query = std::move(target->query);
  request_.headers = head.headers;
  request_.params = std::move(match.params);
}

void Connection::dispatch() {
  state_ = State::kAnswering;
  if (peer_.subject.empty()) peer_.subject = transport_->peer_subject();
  request_.peer = peer_;
  if (route_->options.body == BodyKind::kUpload) {
    auto resume = [weak = weak_from_this(), &loop = owner_.loop()] {
      loop.post([weak] {
        auto self = weak.lock();
        if (!self || self->state_ != State::kAnswering) return;
        self->upload_paused_ = false;
        self->process();
      });
    };
    upload_ = std::make_shared<BodyReader>(std::move(resume));
    if (body_done_) upload_->finish();
    request_.upload = upload_;
  }
  owner_.run(*route_, std::exchange(request_, {}), exchange_);
}

void Connection::refuse(int status, std::string message, HeaderList headers) {
  deadline_.reset();
  state_ = State::kAnswering;
  if (parser_->done()) exchange_->body_received();
  exchange_->send(message_reply(status, std::move(message), std::move(headers)));
  exchange_->handler_returned();
}

// ---- Output ----

void Connection::attend() {
  if (state_ == State::kClosed || !exchange_) return;
  auto self = shared_from_this();
  if (stopping_) {
    stop();
    if (state_ == State::kClosed) return;
  }
  flush();
  if (state_ == State::kAnswering) process();
}

void Connection::flush() {
  if (writing_) {
    flush_again_ = true;
    return;
  }
  auto output = exchange_->take_output();
  out_ = std::move(output.bytes);
  then_ = output.then;
  writing_ = true;
  auto written = transport_->write(out_, [self = shared_from_this()](bool ok) { self->sent(ok); });
  if (written != Transport::Written::kWaiting) sent(written == Transport::Written::kDone);
}

void Connection::sent(bool ok) {
  if (state_ == State::kClosed) return;
  writing_ = false;
  out_ = {};
  if (!ok) return close();
  exchange_->output_sent();
  if (state_ == State::kClosed) return;
  switch (std::exchange(then_, Then::kNothing)) {
    case Then::kNothing:
      break;
    case Then::kShutdownWrite:
      transport_->shutdown_write();
      break;
    case Then::kNextRequest:
      return next_request();
    case Then::kClose:
      return linger();
    case Then::kCut:
      return close();
  }
  // Through the loop rather than at once, so that one busy stream leaves others their turn.
  if (std::exchange(flush_again_, false)) {
    owner_.loop().post([self = shared_from_this()] { self->attend(); });
  }
}

void Connection::become_idle() {
  state_ = State::kIdle;
  parser_.reset();
  idle_since_ = std::chrono::steady_clock::now();
  set_deadline(owner_.options().limits.idle_deadline);
}

void Connection::next_request() {
  end_exchange();
  if (stopping_) return close();
  become_idle();
  process();
}

void Connection::linger() {
  // Closing a socket with unread input would have the kernel drop what the client has not read yet.
  bool unread = !body_done_ || raw_input_ || !in_.empty() || transport_->has_input();
  end_exchange();
  if (peer_ended_ || !unread) return close();
  in_.clear();
  state_ = State::kLingering;
  transport_->shutdown_write();
  set_deadline(kLingerTime);
  read_more();
}

void Connection::end_exchange() {
  auto exchange = std::exchange(exchange_, nullptr);
  if (upload_ && !body_done_)
    upload_->abort(Error{Code::kCancelled, 0, "the client closed the connection"});
  upload_.reset();
  if (exchange && owner_.options().audit) {
    AuditRecord record;
    record.time = started_at_;
    record.peer = peer_;
    record.method = parser_->head().method;
    record.target = redact_target(parser_->head().target);
    record.status = exchange->status() ? exchange->status() : kClientClosedRequest;
    record.duration = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - started_);
    record.details = exchange->details();
    owner_.options().audit(record);
  }
  parser_.reset();
  route_ = nullptr;
  request_ = {};
  upload_paused_ = false;
  body_done_ = false;
  raw_input_ = false;
  flush_again_ = false;
  if (exchange) exchange->closed();
}

}  // namespace holdfast::http
