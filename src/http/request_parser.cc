#include "http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>

namespace holdfast::http {
namespace {

namespace beast = boost::beast;

// A line of chunked framing, its extensions included, is some digits; nobody sends long ones.
constexpr std::size_t kFramingLimit = 4 << 10;

bool is_digits(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::uint64_t to_number(std::string_view digits) {
  std::uint64_t number = 0;
  for (char digit : digits) number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  return number;
}

tl::unexpected<Error> bad_request(std::string_view why) {
  return fail(Code::kInvalidArgument, "Bad Request: {}", why);
}

// What the length of the body follows from. Beast is lenient in places (lists of equal lengths,
// codings that end in chunked); a proxy in front may read those differently, which is how requests
// are smuggled.
Status check_framing(RequestHead& head) {
  std::size_t lengths = head.headers.count("Content-Length");
  std::size_t codings = head.headers.count("Transfer-Encoding");
  if (lengths > 1) return bad_request("more than one Content-Length");
  if (codings > 1) return bad_request("more than one Transfer-Encoding");
  if (lengths && codings) return bad_request("both Content-Length and Transfer-Encoding");
  if (lengths) {
    std::string text = head.headers.get("Content-Length");
    if (!is_digits(text)) return bad_request("invalid Content-Length");
    head.content_length = to_number(text);
  }
  if (codings) {
    if (head.http_1_0) return bad_request("Transfer-Encoding in an HTTP/1.0 request");
    if (!equal_ignoring_case(head.headers.get("Transfer-Encoding"), "chunked"))
      return bad_request("unsupported Transfer-Encoding");
    head.chunked = true;
  }
  return {};
}

Status check_head(RequestHead& head) {
  RETURN_IF_ERROR(check_framing(head));
  std::size_t hosts = head.headers.count("Host");
  if (hosts > 1) return bad_request("more than one Host");
  if (hosts == 0 && !head.http_1_0) return bad_request("missing required Host header");
  const std::string* expect = head.headers.find("Expect");
  if (expect && !equal_ignoring_case(*expect, "100-continue"))
    return bad_request("unsupported Expect");
  head.expects_continue = expect && !head.http_1_0;
  head.keep_alive = !head.http_1_0 && !head.headers.has_token("Connection", "close");
  head.upgrade = head.headers.has_token("Connection", "upgrade") && head.headers.find("Upgrade");
  return {};
}

// A field continued on a further line was withdrawn from HTTP because parsers disagree on it.
bool has_folded_line(std::string_view head) {
  return head.find("\r\n ") != std::string_view::npos ||
         head.find("\r\n\t") != std::string_view::npos;
}

// A chunked body (RFC 9112, 7.1). Ours, because Beast 1.81 asserts when an empty body's last chunk
// comes in two pieces.
class ChunkedBody {
 public:
  // Appends what it finds to `body` and says how many bytes it has used.
  Result<std::size_t> feed(std::string_view bytes, std::string& body) {
    std::size_t used = 0;
    body.reserve(body.size() + bytes.size());
    while (state_ != State::kDone) {
      std::string_view rest = bytes.substr(used);
      if (state_ == State::kData) {
        std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size()));
        body.append(rest.substr(0, count));
        left_ -= count;
        used += count;
        if (left_ > 0) return used;
        state_ = State::kDataEnd;
        continue;
      }
      auto end = rest.find_first_of("\r\n");
      if (std::min(end, rest.size()) > kFramingLimit) return bad_request("chunk header too large");
      if (end == std::string_view::npos || end + 1 == rest.size()) {
        if (end != std::string_view::npos && rest[end] == '\n') return bad_request("bare LF");
        return used;
      }
      if (rest.substr(end, 2) != "\r\n") return bad_request("bare CR or LF in a chunked body");
      RETURN_IF_ERROR(take_line(rest.substr(0, end)));
      used += end + 2;
    }
    return used;
  }

  bool done() const { return state_ == State::kDone; }

 private:
  enum class State { kSize, kData, kDataEnd, kTrailer, kDone };

  Status take_line(std::string_view line) {
    if (state_ == State::kSize) return take_size(line);
    if (state_ == State::kDataEnd) {
      if (!line.empty()) return bad_request("a chunk is longer than its size");
      state_ = State::kSize;
      return {};
    }
    // Trailers are dropped: nothing that counts may come so late.
    trailers_ += line.size();
    if (trailers_ > kFramingLimit) return bad_request("trailers too large");
    if (line.empty()) state_ = State::kDone;
    return {};
  }

  Status take_size(std::string_view line) {
    std::string_view digits = line.substr(0, line.find(';'));
    if (digits.empty() || digits.size() > 15) return bad_request("invalid chunk size");
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
    if (error != std::errc() || end != digits.data() + digits.size())
      return bad_request("invalid chunk size");
    state_ = left_ == 0 ? State::kTrailer : State::kData;
    return {};
  }

  State state_ = State::kSize;
  std::uint64_t left_ = 0;  // of the chunk under way
  std::size_t trailers_ = 0;
};

}  // namespace

// Beast's parser does the head's grammar, given whole heads only; this keeps what it finds.
class RequestParser::Parser : public beast::http::basic_parser<true> {
 public:
  using Code = beast::error_code;
  using View = beast::string_view;

  Parser() {
    body_limit(boost::none);
    header_limit(1 << 20);  // our own limit is checked before
  }

  RequestHead head;

 private:
  void on_request_impl(beast::http::verb, View method, View target, int version, Code&) override {
    head.method.assign(method.data(), method.size());
    head.target.assign(target.data(), target.size());
    head.http_1_0 = version < 11;
  }
  void on_response_impl(int, View, int, Code&) override {}
  void on_field_impl(beast::http::field, View name, View value, Code&) override {
    head.headers.add(std::string(name), std::string(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View, Code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View, Code&) override { return 0; }
  void on_finish_impl(Code&) override {}
};

// What comes after the head.
struct RequestParser::Body {
  std::uint64_t left = 0;  // of a body of known length
  ChunkedBody chunks;
  std::string bytes;  // not taken yet
};

RequestParser::RequestParser(std::size_t head_limit)
    : head_limit_(head_limit),
      parser_(std::make_unique<Parser>()),
      body_(std::make_unique<Body>()) {}

RequestParser::~RequestParser() = default;

bool RequestParser::done() const {
  return head_done_ && (head().chunked ? body_->chunks.done() : body_->left == 0);
}
const RequestHead& RequestParser::head() const { return parser_->head; }
std::string RequestParser::take_body() { return std::exchange(body_->bytes, {}); }

Result<std::size_t> RequestParser::feed_head(std::string_view bytes) {
  // An empty line or two before a request is what some clients send after the one before (RFC 9112,
  // 2.2).
  std::size_t skipped = 0;
  while (bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
  if (skipped > 0) {
    searched_ = 0;
    return skipped;
  }
  auto end = bytes.find("\r\n\r\n", searched_);
  if (std::min(end, bytes.size()) > head_limit_)
    return fail(Code::kResourceExhausted, "Request Header Fields Too Large");
  if (end == std::string_view::npos) {
    searched_ = bytes.size() < 3 ? 0 : bytes.size() - 3;
    return 0;
  }
  std::string_view head = bytes.substr(0, end + 4);
  if (has_folded_line(head)) return bad_request("folded header field");
  beast::error_code error;
  std::size_t used = parser_->put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error) return bad_request(error.message());
  if (!parser_->is_header_done() || used != head.size()) return bad_request("invalid header");
  RETURN_IF_ERROR(check_head(parser_->head));
  head_done_ = true;
  body_->left = parser_->head.content_length.value_or(0);
  return used;
}

Result<std::size_t> RequestParser::feed(std::string_view bytes) {
  std::size_t used = 0;
  while (!head_done_ && used < bytes.size()) {
    ASSIGN_OR_RETURN(std::size_t taken, feed_head(bytes.substr(used)));
    used += taken;
    if (taken == 0 || head_done_) return used;
  }
  if (!head_done_ || done()) return used;
  if (head().chunked) return body_->chunks.feed(bytes, body_->bytes);
  std::size_t count = static_cast<std::size_t>(std::min<std::uint64_t>(body_->left, bytes.size()));
  body_->bytes.append(bytes.substr(0, count));
  body_->left -= count;
  return count;
}

}  // namespace holdfast::http
