#include "client/session.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/file.h"
#include "wire/stream_frame.h"

namespace holdfast::client {
namespace {

constexpr std::array<int, 9> kForwarded = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                           SIGUSR2, SIGALRM, SIGCONT, SIGWINCH};

sigset_t taken_signals(bool forwarding, bool raw) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGWINCH);
  if (forwarding) {
    for (int number : kForwarded) sigaddset(&set, number);
  } else if (raw) {
    // They end us, but not before the terminal is itself again.
    for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM}) sigaddset(&set, number);
  }
  return set;
}

}  // namespace

// Writes to a standard stream. When its reader is gone we end by SIGPIPE as if we had never ignored
// it, the terminal being itself again.
Status Session::write_out(BorrowedFd to, std::string_view bytes) {
  auto written = write_all(to, bytes);
  if (!written && written.error().sys_errno == EPIPE) {
    raw_.reset();
    ::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
  }
  return written;
}

struct Session::Pumping {
  wire::FrameDecoder decoder;
  std::string unsent;  // typed or piped in, not yet taken by the connection
  bool input_open = false;
  bool half_closed = false;
  bool detached = false;
  std::string buffer = std::string(64 << 10, '\0');
};

Result<Session> Session::start(SessionOptions options) {
  ASSIGN_OR_RETURN(auto keys, DetachKeys::parse(options.detach_keys));
  Session session(std::move(options), std::move(keys));
  if (session.options_.tty && session.options_.input && is_terminal(kStdin)) {
    ASSIGN_OR_RETURN(auto raw, RawTerminal::enter(kStdin));
    session.raw_.emplace(std::move(raw));
  }
  ::signal(SIGPIPE, SIG_IGN);
  auto set = taken_signals(session.options_.forward_signal != nullptr, session.raw_.has_value());
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  session.signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!session.signals_) return fail_errno("signalfd");
  return session;
}

Session::~Session() {
  if (!signals_) return;  // moved from
  auto set = taken_signals(true, true);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void Session::send_size() {
  if (!options_.resize) return;
  if (auto size = window_size(kStdout)) options_.resize(*size);
}

void Session::redraw() {
  if (!options_.resize) return;
  auto size = window_size(kStdout);
  if (!size) return;
  options_.resize({size->rows + 1, size->columns});
  options_.resize(*size);
}

void Session::take_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    int number = static_cast<int>(info.ssi_signo);
    if (number == SIGWINCH) {
      if (options_.resize) send_size();
    } else if (options_.forward_signal) {
      options_.forward_signal(number);
    } else {
      raw_.reset();
      sigset_t set;
      sigemptyset(&set);
      sigaddset(&set, number);
      ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
      ::raise(number);
    }
  }
}

Status Session::wait_readable(BorrowedFd fd) {
  while (true) {
    std::array<pollfd, 2> polled = {{{fd.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return fail_errno("poll");
    if (polled[1].revents) take_signals();
    if (polled[0].revents) return {};
  }
}

// False at the end of the stream.
Result<bool> Session::receive(Stream& stream, Pumping& pumping) {
  ASSIGN_OR_RETURN(auto got, stream.read(pumping.buffer.data(), pumping.buffer.size()));
  if (got == 0) return false;
  std::string_view bytes(pumping.buffer.data(), got);
  if (options_.tty) {
    RETURN_IF_ERROR(write_out(kStdout, bytes));
    return true;
  }
  RETURN_IF_ERROR(
      pumping.decoder.feed(bytes, [this](wire::StreamKind kind, std::string_view part) -> Status {
        if (kind == wire::StreamKind::kSystemError)
          return fail(Code::kInternal, "error from daemon in stream: {}", part);
        bool is_error = kind == wire::StreamKind::kStderr;
        if (!(is_error ? options_.errors : options_.output)) return {};
        return write_out(is_error ? kStderr : kStdout, part);
      }));
  return true;
}

Status Session::read_input(Pumping& pumping) {
  ssize_t got = ::read(kStdin.get(), pumping.buffer.data(), pumping.buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return {};
  if (got <= 0) {
    pumping.input_open = false;
    return {};
  }
  std::string_view typed(pumping.buffer.data(), static_cast<std::size_t>(got));
  if (options_.tty)
    pumping.detached = keys_.feed(typed, pumping.unsent);
  else
    pumping.unsent = typed;
  return {};
}

Status Session::send_input(Stream& stream, Pumping& pumping) {
  auto sent = stream.write_some(pumping.unsent);
  if (!sent) {  // the container takes no more: its output still counts
    pumping.input_open = false;
    pumping.half_closed = true;
    pumping.unsent.clear();
    return {};
  }
  pumping.unsent.erase(0, *sent);
  return {};
}

Result<Session::End> Session::pump(Stream& stream) {
  Pumping pumping;
  pumping.input_open = options_.input;
  while (true) {
    if (options_.input && !pumping.input_open && !pumping.half_closed && pumping.unsent.empty()) {
      pumping.half_closed = true;
      RETURN_IF_ERROR(stream.close_write());
    }
    bool reading = pumping.input_open && pumping.unsent.empty();
    short wanted = pumping.unsent.empty() ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 3> polled = {{{stream.fd().get(), wanted, 0},
                                     {signals_.get(), POLLIN, 0},
                                     {reading ? kStdin.get() : -1, POLLIN, 0}}};
    int ready = ::poll(polled.data(), polled.size(), stream.pending() ? 0 : -1);
    if (ready < 0 && errno != EINTR) return fail_errno("poll");
    if (ready < 0) continue;
    if (polled[1].revents) take_signals();
    if (polled[2].revents) RETURN_IF_ERROR(read_input(pumping));
    if (polled[0].revents & POLLOUT) RETURN_IF_ERROR(send_input(stream, pumping));
    if (pumping.detached) return End::kDetached;
    if (stream.pending() || (polled[0].revents & (POLLIN | POLLHUP | POLLERR))) {
      ASSIGN_OR_RETURN(bool more, receive(stream, pumping));
      if (!more) return End::kStreamEnded;
    }
  }
}

}  // namespace holdfast::client
