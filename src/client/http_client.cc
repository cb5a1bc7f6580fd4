#include "client/http_client.h"

#include <strings.h>
#include <algorithm>
#include <charconv>
#include <cstring>

namespace holdfast::client {
namespace {

constexpr std::size_t kMaxLine = 64 << 10;
constexpr std::size_t kBufferSize = 64 << 10;

tl::unexpected<Error> malformed(std::string_view what) {
  return fail(Code::kUnavailable, "malformed HTTP response: {}", what);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string request_head(const Endpoint& endpoint, const Request& request) {
  // Go's clients name the socket's host "api.moby.localhost"; any name does on a Unix socket.
  std::string host = endpoint.is_unix() ? "localhost" : endpoint.host + ":" + endpoint.port;
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Holdfast-Client/{}\r\n",
                                 request.method, request.target, host, HOLDFAST_VERSION);
  for (const auto& [name, value] : request.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (request.upgrade)
    head += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  else
    head += "Connection: close\r\n";
  if (request.source)
    head += "Transfer-Encoding: chunked\r\n";
  else if (!request.body.empty() || request.method != "GET")
    head += fmt::format("Content-Length: {}\r\n", request.body.size());
  return head + "\r\n";
}

Status send_chunks(Stream& stream, const ByteSource& source) {
  std::vector<char> buffer(kBufferSize);
  while (true) {
    ASSIGN_OR_RETURN(auto size, source(buffer.data(), buffer.size()));
    std::string chunk = fmt::format("{:x}\r\n", size);
    chunk.append(buffer.data(), size);
    chunk += "\r\n";
    if (auto sent = stream.write(chunk); !sent) {
      // The server has stopped listening, and most likely says why.
      return {};
    }
    if (size == 0) return {};
  }
}

Result<Response> read_head(Stream stream, bool has_body) {
  while (true) {
    auto first = stream.read_line();
    if (!first) {
      return fail(Code::kUnavailable,
                  "error during connect: the daemon closed the connection without an answer");
    }
    int status = 0;
    if (!first->starts_with("HTTP/1.") || first->size() < 12 ||
        std::from_chars(first->data() + 9, first->data() + 12, status).ec != std::errc())
      return malformed(fmt::format("\"{}\"", first->substr(0, 80)));
    Headers headers;
    while (true) {
      ASSIGN_OR_RETURN(auto line, stream.read_line());
      if (line.empty()) break;
      auto colon = line.find(':');
      if (colon == std::string::npos) return malformed("header without colon");
      auto value = std::string_view(line).substr(colon + 1);
      value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      headers.emplace_back(line.substr(0, colon), value);
    }
    if (status >= 200 || status == 101)
      return Response(status, std::move(headers), std::move(stream), has_body);
  }
}

}  // namespace

Status Stream::fill() {
  if (at_ == buffer_.size()) {
    buffer_.clear();
    at_ = 0;
  }
  std::size_t old = buffer_.size();
  buffer_.resize(old + kBufferSize);
  auto got = connection_->read(buffer_.data() + old, kBufferSize);
  buffer_.resize(old + got.value_or(0));
  if (!got) return tl::unexpected(std::move(got).error());
  if (*got == 0) return fail(Code::kUnavailable, "unexpected EOF");
  return {};
}

Result<std::size_t> Stream::read(char* buffer, std::size_t size) {
  if (at_ == buffer_.size()) return connection_->read(buffer, size);
  std::size_t part = std::min(size, buffer_.size() - at_);
  std::memcpy(buffer, buffer_.data() + at_, part);
  at_ += part;
  return part;
}

Result<std::string> Stream::read_line() {
  std::size_t searched = 0;
  while (true) {
    auto end = buffer_.find('\n', at_ + searched);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(at_, end - at_);
      at_ = end + 1;
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    searched = buffer_.size() - at_;
    if (searched > kMaxLine) return fail(Code::kInvalidArgument, "HTTP line too long");
    if (searched == 0) {
      buffer_.clear();
      at_ = 0;
    }
    RETURN_IF_ERROR(fill());
  }
}

Response::Response(int status, Headers headers, Stream stream, bool has_body)
    : status_(status), headers_(std::move(headers)), stream_(std::move(stream)) {
  std::string length = header("Content-Length");
  if (!has_body || status == 204 || status == 304) {
    framing_ = Framing::kNone;
  } else if (equal_ignoring_case(header("Transfer-Encoding"), "chunked")) {
    framing_ = Framing::kChunked;
  } else if (!length.empty()) {
    framing_ = Framing::kLength;
    std::from_chars(length.data(), length.data() + length.size(), remaining_);
  }
}

std::string Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers_)
    if (equal_ignoring_case(key, name)) return value;
  return {};
}

Result<std::size_t> Response::read_chunked(char* buffer, std::size_t size) {
  if (remaining_ == 0) {
    if (!first_chunk_) RETURN_IF_ERROR(stream_.read_line());  // the CRLF after a chunk
    first_chunk_ = false;
    ASSIGN_OR_RETURN(auto line, stream_.read_line());
    auto parsed = std::from_chars(line.data(), line.data() + line.size(), remaining_, 16);
    if (parsed.ec != std::errc()) return malformed("bad chunk size");
    if (remaining_ == 0) {
      ended_ = true;
      return std::size_t{0};
    }
  }
  ASSIGN_OR_RETURN(auto got, stream_.read(buffer, std::min<std::uint64_t>(size, remaining_)));
  if (got == 0) return fail(Code::kUnavailable, "unexpected EOF");
  remaining_ -= got;
  return got;
}

Result<std::size_t> Response::read(char* buffer, std::size_t size) {
  if (ended_ || framing_ == Framing::kNone) return std::size_t{0};
  if (framing_ == Framing::kChunked) return read_chunked(buffer, size);
  if (framing_ == Framing::kUntilClose) return stream_.read(buffer, size);
  if (remaining_ == 0) return std::size_t{0};
  ASSIGN_OR_RETURN(auto got, stream_.read(buffer, std::min<std::uint64_t>(size, remaining_)));
  if (got == 0) return fail(Code::kUnavailable, "unexpected EOF");
  remaining_ -= got;
  return got;
}

Result<std::string> Response::read_all(std::size_t limit) {
  std::string body;
  std::vector<char> buffer(kBufferSize);
  while (true) {
    ASSIGN_OR_RETURN(auto got, read(buffer.data(), buffer.size()));
    if (got == 0) return body;
    if (body.size() + got > limit)
      return fail(Code::kResourceExhausted, "the daemon's answer is larger than {} bytes", limit);
    body.append(buffer.data(), got);
  }
}

Result<Stream> begin_request(const Endpoint& endpoint, const Request& request) {
  ASSIGN_OR_RETURN(auto connection, connect_to(endpoint));
  Stream stream(std::move(connection));
  std::string head = request_head(endpoint, request);
  if (!request.source) head += request.body;
  RETURN_IF_ERROR(stream.write(head));
  if (request.source) RETURN_IF_ERROR(send_chunks(stream, request.source));
  return stream;
}

Result<Response> read_response(Stream stream, bool has_body) {
  return read_head(std::move(stream), has_body);
}

Result<Response> send_request(const Endpoint& endpoint, const Request& request) {
  ASSIGN_OR_RETURN(auto stream, begin_request(endpoint, request));
  return read_response(std::move(stream), request.method != "HEAD");
}

std::string url_escape(std::string_view text) {
  std::string escaped;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '_' || c == '.' || c == '~';
    if (plain)
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

}  // namespace holdfast::client
