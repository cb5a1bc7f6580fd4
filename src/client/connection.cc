#include "client/connection.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace holdfast::client {
namespace {

class SocketConnection final : public Connection {
 public:
  explicit SocketConnection(UniqueFd socket) : socket_(std::move(socket)) {}

  Result<std::size_t> read(char* buffer, std::size_t size) override {
    while (true) {
      ssize_t got = ::recv(socket_.get(), buffer, size, 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      // A daemon that ends a stream by dropping the socket is the end of the stream to us.
      if (errno == ECONNRESET) return std::size_t{0};
      if (errno != EINTR) return fail_errno("read from daemon");
    }
  }

  Status write(std::string_view bytes) override {
    while (!bytes.empty()) {
      ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return fail_errno("write to daemon");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return {};
  }

  Result<std::size_t> write_some(std::string_view bytes) override {
    ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
    return fail_errno("write to daemon");
  }

  Status close_write() override {
    if (::shutdown(socket_.get(), SHUT_WR) != 0 && errno != ENOTCONN)
      return fail_errno("half-close connection");
    return {};
  }

  BorrowedFd fd() const override { return socket_; }

 private:
  UniqueFd socket_;
};

tl::unexpected<Error> cannot_connect(const Endpoint& endpoint, int number) {
  Error error = system_error(number, "");
  if (number == EACCES || number == EPERM) {
    error.message = fmt::format(
        "permission denied while trying to connect to the Holdfast daemon socket at {}: {}",
        endpoint.text, std::strerror(number));
    return tl::unexpected(std::move(error));
  }
  return fail(Code::kUnavailable,
              "Cannot connect to the Holdfast daemon at {}. Is holdfastd running? ({})",
              endpoint.text, std::strerror(number));
}

Result<UniqueFd> connect_unix(const Endpoint& endpoint) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalidArgument, "unix socket path \"{}\" is too long", endpoint.path);
  std::memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("create socket");
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return cannot_connect(endpoint, errno);
  return socket;
}

Result<UniqueFd> connect_tcp(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int failed = ::getaddrinfo(endpoint.host.c_str(), endpoint.port.c_str(), &hints, &found);
  if (failed != 0) {
    return fail(Code::kUnavailable, "Cannot connect to the Holdfast daemon at {}: {}",
                endpoint.text, ::gai_strerror(failed));
  }
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  int last = ECONNREFUSED;
  for (addrinfo* address = found; address; address = address->ai_next) {
    UniqueFd socket(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket && ::connect(socket.get(), address->ai_addr, address->ai_addrlen) == 0) {
      int on = 1;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
      return socket;
    }
    last = errno;
  }
  return cannot_connect(endpoint, last);
}

}  // namespace

Result<std::unique_ptr<Connection>> connect_to(const Endpoint& endpoint) {
  ASSIGN_OR_RETURN(auto socket,
                   endpoint.is_unix() ? connect_unix(endpoint) : connect_tcp(endpoint));
  if (endpoint.tls) return start_tls(std::move(socket), endpoint.host, *endpoint.tls);
  return std::make_unique<SocketConnection>(std::move(socket));
}

}  // namespace holdfast::client
