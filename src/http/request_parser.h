#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/request.h"

namespace holdfast::http {

// A request's line and header fields, checked for everything on which two parsers could disagree.
struct RequestHead {
  std::string method;
  std::string target;
  Headers headers;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool upgrade = false;  // "Connection: Upgrade" with an Upgrade field
  bool expects_continue = false;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
};

// Takes one request's bytes in pieces of any size. Errors are kInvalidArgument, or
// kResourceExhausted when the head is too large; the connection must be closed then, as where the
// next request begins is unknown. One owner; not thread-safe.
class RequestParser {
 public:
  explicit RequestParser(std::size_t head_limit);
  ~RequestParser();

  // Takes what it can from the front of `bytes` and says how much that was; what it left must come
  // again with more behind it. Stops after the head, and after the request's end.
  Result<std::size_t> feed(std::string_view bytes);

  bool head_done() const { return head_done_; }
  bool done() const;  // head and body
  const RequestHead& head() const;

  // The part of the body that came since the last call.
  std::string take_body();

 private:
  class Parser;
  struct Body;
  Result<std::size_t> feed_head(std::string_view bytes);

  const std::size_t head_limit_;
  std::size_t searched_ = 0;  // of the head's bytes, for its end
  bool head_done_ = false;
  std::unique_ptr<Parser> parser_;
  std::unique_ptr<Body> body_;
};

}  // namespace holdfast::http
