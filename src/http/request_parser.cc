#include "http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

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

}  // namespace

// Beast's parser does the grammar; this keeps what it finds.
class RequestParser::Parser : public beast::http::basic_parser<true> {
 public:
  using Code = beast::error_code;
  using View = beast::string_view;

  Parser() {
    body_limit(boost::none);
    header_limit(1 << 20);  // our own limit is checked before
  }

  RequestHead head;
  std::string body;

 private:
  void on_request_impl(beast::http::verb, View method, View target, int version, Code&) override {
    head.method.assign(method.data(), method.size());
    head.target.assign(target.data(), target.size());
    head.http_1_0 = version < 11;
  }
  void on_response_impl(int, View, int, Code&) override {}
  void on_field_impl(beast::http::field, View name, View value, Code&) override {
    if (is_header_done()) return;  // a trailer: nothing that counts may come so late
    head.headers.add(std::string(name), std::string(value));
  }
  void on_header_impl(Code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
  std::size_t on_body_impl(View bytes, Code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View bytes, Code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(Code&) override {}
};

RequestParser::RequestParser(std::size_t head_limit)
    : head_limit_(head_limit), parser_(std::make_unique<Parser>()) {}

RequestParser::~RequestParser() = default;

bool RequestParser::head_done() const { return parser_->is_header_done(); }
bool RequestParser::done() const { return parser_->is_done(); }
const RequestHead& RequestParser::head() const { return parser_->head; }
std::string RequestParser::take_body() { return std::exchange(parser_->body, {}); }

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
  if (!parser_->is_header_done()) return bad_request("incomplete header");
  RETURN_IF_ERROR(check_head(parser_->head));
  return used;
}

Result<std::size_t> RequestParser::feed(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !done()) {
    std::string_view rest = bytes.substr(used);
    if (!head_done()) {
      ASSIGN_OR_RETURN(std::size_t taken, feed_head(rest));
      used += taken;
      if (taken == 0 || head_done()) return used;
      continue;
    }
    beast::error_code error;
    std::size_t taken = parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    used += taken;
    if (error && error != beast::http::error::need_more) return bad_request(error.message());
    if (error || taken == 0) break;
  }
  if (!done() && head_done() && head().chunked && bytes.size() - used > kFramingLimit)
    return bad_request("chunk header too large");
  return used;
}

}  // namespace holdfast::http
