#include "http/transport.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <vector>

namespace holdfast::http {
namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

constexpr std::size_t kReadSize = 64 << 10;
constexpr auto kAcceptPause = std::chrono::milliseconds(50);

// One buffer for all connections: bytes are used up before the callback returns, so an idle
// connection needs none of its own.
std::vector<char>& read_buffer() {
  thread_local std::vector<char> buffer(kReadSize);
  return buffer;
}

// What one attempt at reading or writing came to.
struct Attempt {
  enum class Outcome { kDone, kWantRead, kWantWrite, kEnd, kFailed };
  Outcome outcome = Outcome::kFailed;
  std::size_t count = 0;
};

class SocketTransport : public Transport {
 public:
  SocketTransport(EventLoop& loop, UniqueFd socket)
      : loop_(loop), descriptor_(loop.context(), socket.release()) {}

  void read(ReadCallback got) override {
    got_ = std::move(got);
    if (buffered() > 0) {
      // What the TLS layer already holds makes no descriptor readable.
      loop_.post([self = self()] { self->attempt_read(); });
    } else {
      wait_to_read(Descriptor::wait_read);
    }
  }

  Written write(std::string_view bytes, std::function<void(bool)> written) override {
    unsent_ = bytes;
    Written result = attempt_write();
    if (result == Written::kWaiting) written_ = std::move(written);
    return result;
  }

  void watch_hangup(std::function<void()> gone) override {
    gone_ = std::move(gone);
    // The reactor reports EPOLLHUP to whoever waits for errors.
    descriptor_.async_wait(Descriptor::wait_error,
                           [self = self()](const boost::system::error_code& error) {
                             if (error || !self->gone_) return;
                             if (auto gone = std::exchange(self->gone_, nullptr)) gone();
                           });
  }

  bool has_input() const override {
    int count = 0;
    return buffered() > 0 || (::ioctl(fd(), FIONREAD, &count) == 0 && count > 0);
  }

  void shutdown_write() override { ::shutdown(fd(), SHUT_WR); }

  void close() override {
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    got_ = nullptr;
    written_ = nullptr;
    gone_ = nullptr;
  }

 protected:
  int fd() const { return const_cast<Descriptor&>(descriptor_).native_handle(); }

  virtual Attempt try_read(char* buffer, std::size_t size) {
    ssize_t count = ::recv(fd(), buffer, size, MSG_DONTWAIT);
    if (count > 0) return {Attempt::Outcome::kDone, static_cast<std::size_t>(count)};
    if (count == 0) return {Attempt::Outcome::kEnd, 0};
    if (errno == EAGAIN || errno == EINTR) return {Attempt::Outcome::kWantRead, 0};
    return {};
  }

  virtual Attempt try_write(std::string_view bytes) {
    ssize_t count = ::send(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return {Attempt::Outcome::kDone, static_cast<std::size_t>(count)};
    if (errno == EAGAIN || errno == EINTR) return {Attempt::Outcome::kWantWrite, 0};
    return {};
  }

  // Bytes taken off the socket that no read has returned yet.
  virtual std::size_t buffered() const { return 0; }

 private:
  std::shared_ptr<SocketTransport> self() {
    return std::static_pointer_cast<SocketTransport>(shared_from_this());
  }

  void wait_to_read(Descriptor::wait_type what) {
    descriptor_.async_wait(what, [self = self()](const boost::system::error_code& error) {
      if (!error) self->attempt_read();
    });
  }

  void attempt_read() {
    if (!got_) return;  // closed meanwhile
    auto& buffer = read_buffer();
    Attempt attempt = try_read(buffer.data(), buffer.size());
    switch (attempt.outcome) {
      case Attempt::Outcome::kWantRead:
        return wait_to_read(Descriptor::wait_read);
      case Attempt::Outcome::kWantWrite:
        return wait_to_read(Descriptor::wait_write);
      case Attempt::Outcome::kDone:
        return deliver({buffer.data(), attempt.count}, End::kNone);
      case Attempt::Outcome::kEnd:
        return deliver({}, hung_up() ? End::kGone : End::kHalf);
      case Attempt::Outcome::kFailed:
        return deliver({}, End::kGone);
    }
  }

  void deliver(std::string_view bytes, End end) {
    if (auto got = std::exchange(got_, nullptr)) got(bytes, end);
  }

  bool hung_up() const {
    pollfd entry{fd(), 0, 0};
    return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLHUP | POLLERR)) != 0;
  }

  Written attempt_write() {
    while (!unsent_.empty()) {
      Attempt attempt = try_write(unsent_);
      switch (attempt.outcome) {
        case Attempt::Outcome::kDone:
          unsent_.remove_prefix(attempt.count);
          break;
        case Attempt::Outcome::kWantRead:
          wait_to_write(Descriptor::wait_read);
          return Written::kWaiting;
        case Attempt::Outcome::kWantWrite:
          wait_to_write(Descriptor::wait_write);
          return Written::kWaiting;
        case Attempt::Outcome::kEnd:
        case Attempt::Outcome::kFailed:
          return Written::kFailed;
      }
    }
    return Written::kDone;
  }

  void wait_to_write(Descriptor::wait_type what) {
    descriptor_.async_wait(what, [self = self()](const boost::system::error_code& error) {
      if (error || !self->written_) return;
      Written result = self->attempt_write();
      if (result == Written::kWaiting) return;
      if (auto written = std::exchange(self->written_, nullptr)) written(result == Written::kDone);
    });
  }

  EventLoop& loop_;
  Descriptor descriptor_;
  ReadCallback got_;
  std::string_view unsent_;
  std::function<void(bool)> written_;
  std::function<void()> gone_;
};

class TlsTransport : public SocketTransport {
 public:
  TlsTransport(EventLoop& loop, UniqueFd socket, SSL* ssl)
      : SocketTransport(loop, std::move(socket)), ssl_(ssl) {
    // What is retried is the same bytes, but not always at the same address.
    SSL_set_mode(ssl_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                           SSL_MODE_RELEASE_BUFFERS);
    SSL_set_accept_state(ssl_);
  }
  ~TlsTransport() override { SSL_free(ssl_); }

  void shutdown_write() override {
    SSL_shutdown(ssl_);
    SocketTransport::shutdown_write();
  }

  std::string peer_subject() const override {
    X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (!certificate) return {};
    char text[512];
    X509_NAME_oneline(X509_get_subject_name(certificate), text, sizeof text);
    return text;
  }

 protected:
  Attempt try_read(char* buffer, std::size_t size) override {
    ERR_clear_error();
    std::size_t count = 0;
    int result = SSL_read_ex(ssl_, buffer, size, &count);
    return result == 1 ? Attempt{Attempt::Outcome::kDone, count} : refused(result);
  }

  Attempt try_write(std::string_view bytes) override {
    ERR_clear_error();
    std::size_t count = 0;
    int result = SSL_write_ex(ssl_, bytes.data(), bytes.size(), &count);
    return result == 1 ? Attempt{Attempt::Outcome::kDone, count} : refused(result);
  }

  std::size_t buffered() const override { return static_cast<std::size_t>(SSL_pending(ssl_)); }

 private:
  Attempt refused(int result) const {
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_WANT_READ:
        return {Attempt::Outcome::kWantRead, 0};
      case SSL_ERROR_WANT_WRITE:
        return {Attempt::Outcome::kWantWrite, 0};
      case SSL_ERROR_ZERO_RETURN:
        return {Attempt::Outcome::kEnd, 0};
      default:
        return {};
    }
  }

  SSL* ssl_;
};

class SocketAcceptor : public Acceptor, public std::enable_shared_from_this<SocketAcceptor> {
 public:
  SocketAcceptor(EventLoop& loop, UniqueFd socket, std::function<bool(BorrowedFd)> ready)
      : loop_(loop), descriptor_(loop.context(), socket.release()), ready_(std::move(ready)) {}

  void start() override {
    if (!ready_) return;
    descriptor_.async_wait(
        Descriptor::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
          if (error || !self->ready_) return;
          if (self->ready_(BorrowedFd(self->descriptor_.native_handle()))) {
            self->start();
          } else {
            // The arrival stays in the backlog. Waiting for it again at once would spin.
            self->pause_ = self->loop_.after(kAcceptPause, [self] { self->start(); });
          }
        });
  }

  void close() override {
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    ready_ = nullptr;
    pause_.cancel();
  }

 private:
  EventLoop& loop_;
  Descriptor descriptor_;
  std::function<bool(BorrowedFd)> ready_;
  Subscription pause_;
};

}  // namespace

void Transport::forget_input() {
  auto& buffer = read_buffer();
  ::OPENSSL_cleanse(buffer.data(), buffer.size());
}

std::shared_ptr<Transport> Transport::plain(EventLoop& loop, UniqueFd socket) {
  return std::make_shared<SocketTransport>(loop, std::move(socket));
}

Result<std::shared_ptr<Transport>> Transport::tls(EventLoop& loop, UniqueFd socket,
                                                  SSL_CTX* context) {
  SSL* ssl = SSL_new(context);
  if (!ssl) return fail(Code::kResourceExhausted, "start TLS: out of memory");
  SSL_set_fd(ssl, socket.get());
  return std::make_shared<TlsTransport>(loop, std::move(socket), ssl);
}

std::shared_ptr<Acceptor> Acceptor::create(EventLoop& loop, UniqueFd socket,
                                           std::function<bool(BorrowedFd)> ready) {
  return std::make_shared<SocketAcceptor>(loop, std::move(socket), std::move(ready));
}

}  // namespace holdfast::http
