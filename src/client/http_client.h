#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "client/connection.h"

// Just enough HTTP/1.1 for the Engine API: one request a connection, bodies streamed both ways,
// and upgrade to a raw stream.
namespace holdfast::client {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Fills a buffer with the next bytes; 0 at the end.
using ByteSource = std::function<Result<std::size_t>(char* buffer, std::size_t size)>;

struct Request {
  std::string method = "GET";
  std::string target;  // path and query, already escaped
  Headers headers;
  std::string body;
  ByteSource source;     // sent chunked in place of `body`
  bool upgrade = false;  // asks for a raw stream in place of a body
};

// A connection together with what was read ahead of it. One owner; not thread-safe.
class Stream {
 public:
  explicit Stream(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

  Result<std::size_t> read(char* buffer, std::size_t size);
  // Without the final CRLF. kInvalidArgument beyond 64 KiB or when the stream ends before it.
  Result<std::string> read_line();
  Status write(std::string_view bytes) { return connection_->write(bytes); }
  Result<std::size_t> write_some(std::string_view bytes) { return connection_->write_some(bytes); }
  Status close_write() { return connection_->close_write(); }
  BorrowedFd fd() const { return connection_->fd(); }
  // True when read() has bytes that polling fd() would not show.
  bool pending() const { return at_ < buffer_.size() || connection_->pending(); }

 private:
  Status fill();

  std::unique_ptr<Connection> connection_;
  std::string buffer_;
  std::size_t at_ = 0;  // where the unread part of buffer_ begins
};

// A response whose body is read as it comes. One owner; not thread-safe.
class Response {
 public:
  // `has_body` is false for the answer to a HEAD request.
  Response(int status, Headers headers, Stream stream, bool has_body = true);

  int status() const { return status_; }
  // The header's value, whatever its case; empty when absent.
  std::string header(std::string_view name) const;

  Result<std::size_t> read(char* buffer, std::size_t size);
  Result<std::string> read_all(std::size_t limit = 256 << 20);
  // Bytes polling would not show, as Stream::pending().
  bool pending() const { return stream_.pending(); }
  BorrowedFd fd() const { return stream_.fd(); }

  // Gives up the response for the raw stream of an upgraded connection.
  Stream take_stream() && { return std::move(stream_); }

 private:
  enum class Framing { kNone, kLength, kChunked, kUntilClose };
  Result<std::size_t> read_chunked(char* buffer, std::size_t size);

  int status_;
  Headers headers_;
  Stream stream_;
  Framing framing_ = Framing::kUntilClose;
  std::uint64_t remaining_ = 0;  // of the body, or of the current chunk
  bool first_chunk_ = true;
  bool ended_ = false;
};

// Connects, sends the request and reads the response's head. A server that answers before it has
// taken all of the body is heard out.
Result<Response> send_request(const Endpoint& endpoint, const Request& request);

// The two halves of send_request, for many requests under way at once.
Result<Stream> begin_request(const Endpoint& endpoint, const Request& request);
Result<Response> read_response(Stream stream, bool has_body = true);

// Percent-escapes all but RFC 3986's unreserved characters.
std::string url_escape(std::string_view text);

}  // namespace holdfast::client
