#include "engine/attach_session.h"

#include <sstream>

namespace holdfast {
namespace {

// "ctrl-a" … "ctrl-z", "ctrl-@", "ctrl-[", "ctrl-\\", "ctrl-]", "ctrl-^", "ctrl-_", or a single
// character.
std::optional<char> key_code(const std::string& key) {
  if (key.size() == 1) return key[0];
  if (!key.starts_with("ctrl-") || key.size() != 6) return std::nullopt;
  char c = key[5];
  if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 1);
  static constexpr std::string_view kOthers = "@[\\]^_";
  auto position = kOthers.find(c);
  if (position == std::string_view::npos) return std::nullopt;
  return position == 0 ? '\0' : static_cast<char>(26 + position);
}

}  // namespace

Result<DetachScanner> DetachScanner::parse(const std::string& keys) {
  DetachScanner scanner;
  std::stringstream list(keys.empty() ? "ctrl-p,ctrl-q" : keys);
  std::string key;
  while (std::getline(list, key, ',')) {
    auto code = key_code(key);
    if (!code) return fail(Code::kInvalidArgument, "Invalid detach keys ({}) provided", keys);
    scanner.sequence_ += *code;
  }
  return scanner;
}

DetachScanner::Scanned DetachScanner::scan(std::string_view typed) {
  Scanned result;
  for (char c : typed) {
    if (c == sequence_[matched_]) {
      if (++matched_ == sequence_.size()) {
        result.detached = true;
        return result;
      }
      continue;
    }
    result.bytes.append(sequence_, 0, matched_);
    matched_ = c == sequence_[0] ? 1 : 0;
    if (matched_ == 0) result.bytes += c;
  }
  return result;
}

AttachSession::AttachSession(EventLoop& loop, std::unique_ptr<ClientDuplex> client, AttachMode mode,
                             DetachScanner scanner, std::function<void()> detached)
    : loop_(loop),
      client_(std::move(client)),
      mode_(mode),
      scanner_(std::move(scanner)),
      detached_(std::move(detached)) {}

Status AttachSession::begin(const std::string& directory) {
  auto stream = AttachStream::connect(directory);
  if (!stream) {
    abandon();
    return tl::unexpected(std::move(stream).error());
  }
  // Connected already: whatever is written from here on waits in the socket for the loop to come
  // by.
  auto shared = std::make_shared<AttachStream>(std::move(*stream));
  loop_.post([self = shared_from_this(), shared] { self->start(std::move(*shared)); });
  return {};
}

void AttachSession::abandon() {
  loop_.post([self = shared_from_this()] { self->end(); });
}

void AttachSession::fail(const std::string& message) {
  loop_.post([self = shared_from_this(), message] {
    if (self->ended_) return;
    auto stream = self->mode_.tty ? OutputStream::kStdout : OutputStream::kStderr;
    (void)self->client_->try_write(
        stream, message + "\r\n");  // a client without room learns it from inspect
    self->end();
  });
}

void AttachSession::start(AttachStream stream) {
  if (ended_) return;
  stream_ = std::make_unique<AttachStream>(std::move(stream));
  client_->on_close([self = shared_from_this()] {
    if (!self->ended_) self->detach();
  });
  auto watch =
      loop_.watch(stream_->fd(), [self = shared_from_this()] { return self->read_output(); });
  if (!watch) {
    end();
    return;
  }
  output_watch_ = std::move(*watch);
  read_input();
}

// Returns whether to go on watching.
bool AttachSession::read_output() {
  // A bounded number of packets each time, so that one busy container doesn't hold the loop.
  for (int packets = 0; packets < 32; ++packets) {
    if (ended_) return false;
    auto event = stream_->read();
    if (!event || event->kind == AttachEvent::Kind::kEnd) {
      output_ended();
      return false;
    }
    if (event->kind == AttachEvent::Kind::kNothing) return true;
    if (!pass_on(*event)) return false;
  }
  return true;
}

// False when the client has no room: the packet is held and reading stops until there is.
bool AttachSession::pass_on(const AttachEvent& event) {
  bool wanted = event.stream == OutputStream::kStdout ? mode_.out : mode_.err;
  if (!wanted || client_->try_write(event.stream, event.bytes)) return true;
  held_output_ = event.bytes;
  held_stream_ = event.stream;
  pause_output();
  return false;
}

void AttachSession::pause_output() {
  output_watch_.cancel();
  client_->when_writable([self = shared_from_this()] {
    if (self->ended_) return;
    if (!self->client_->try_write(self->held_stream_, self->held_output_)) {
      self->pause_output();
      return;
    }
    self->held_output_.clear();
    auto watch = self->loop_.watch(self->stream_->fd(), [self] { return self->read_output(); });
    if (watch) {
      self->output_watch_ = std::move(*watch);
    } else {
      self->end();
    }
  });
}

void AttachSession::read_input() {
  client_->read([self = shared_from_this()](std::string_view bytes, bool end) {
    self->take_input(bytes, end);
  });
}

void AttachSession::take_input(std::string_view bytes, bool end) {
  if (ended_) return;
  if (end) {
    input_ended_ = true;
    flush_input();
    return;
  }
  // Without stdin of its own a client's bytes are read all the same, to notice when it goes.
  if (!mode_.in) {
    read_input();
    return;
  }
  // Only a terminal's input is typed by somebody who may want to leave.
  auto scanned =
      mode_.tty ? scanner_.scan(bytes) : DetachScanner::Scanned{std::string(bytes), false};
  pending_input_ += scanned.bytes;
  flush_input();
  if (scanned.detached) detach();
}

void AttachSession::flush_input() {
  if (!pending_input_.empty()) {
    auto written = stream_->write(pending_input_);
    if (!written) {
      pending_input_.clear();  // the container has closed its stdin
    } else {
      pending_input_.erase(0, *written);
    }
  }
  if (!pending_input_.empty()) {
    auto watch = loop_.when_writable(stream_->fd(), [self = shared_from_this()] {
      if (!self->ended_) self->flush_input();
    });
    if (watch) input_watch_ = std::move(*watch);
    return;
  }
  if (!input_ended_) {
    read_input();
  } else if (mode_.in && mode_.close_stdin) {
    (void)stream_->close_stdin();  // fails when the container is gone, which its own end will tell
  }
}

// A client that sees its stream end asks for the exit code at once.
void AttachSession::output_ended() {
  output_ended_ = true;
  if (!mode_.await_exit || exited_) end();
}

void AttachSession::exited() {
  loop_.post([self = shared_from_this()] {
    self->exited_ = true;
    if (self->output_ended_) self->end();
  });
}

void AttachSession::end() {
  if (std::exchange(ended_, true)) return;
  output_watch_.cancel();
  input_watch_.cancel();
  client_->finish();
  client_.reset();
  stream_.reset();
}

void AttachSession::detach() {
  if (std::exchange(ended_, true)) return;
  output_watch_.cancel();
  input_watch_.cancel();
  if (detached_) detached_();
  client_->finish();
  client_.reset();
  if (!mode_.keep_stdin || !stream_) {
    stream_.reset();
    return;
  }
  // The monitor ends the container's stdin when this connection closes: it is kept, unread, until
  // the container ends.
  stream_->abandon_output();
  auto watch = loop_.watch(stream_->fd(), [self = shared_from_this()] {
    auto event = self->stream_->read();
    return event && event->kind != AttachEvent::Kind::kEnd;
  });
  if (watch) watch->release();
}

}  // namespace holdfast
