#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"
#include "client/endpoint.h"

namespace holdfast::client {

// A blocking byte stream to the daemon: a Unix socket, a TCP socket, or TLS over one. One owner;
// not thread-safe.
class Connection {
 public:
  virtual ~Connection() = default;

  // At least one byte, or 0 at the end of the stream.
  virtual Result<std::size_t> read(char* buffer, std::size_t size) = 0;
  virtual Status write(std::string_view bytes) = 0;
  // Writes what fits without waiting, possibly nothing; for use when fd() polls writable.
  virtual Result<std::size_t> write_some(std::string_view bytes) = 0;
  // Half-close: the peer sees the end of our bytes and may go on sending.
  virtual Status close_write() = 0;
  // To poll; a TLS connection may hold bytes the descriptor no longer shows: see pending().
  virtual BorrowedFd fd() const = 0;
  virtual bool pending() const { return false; }
};

// kUnavailable when nobody listens there; kPermissionDenied when the socket may not be opened.
Result<std::unique_ptr<Connection>> connect_to(const Endpoint& endpoint);

// TLS over a connected socket; tls_connection.cc alone knows OpenSSL.
Result<std::unique_ptr<Connection>> start_tls(UniqueFd socket, const std::string& host,
                                              const TlsFiles& files);

}  // namespace holdfast::client
