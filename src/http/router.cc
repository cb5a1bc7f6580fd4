#include "http/router.h"

#include <algorithm>
#include <memory>

#include "base/secret_bytes.h"

namespace holdfast::http {
namespace {

using Params = std::vector<std::pair<std::string, std::string>>;

std::vector<std::string> split_pattern(std::string_view pattern) {
  CHECK(pattern.starts_with('/'));
  std::vector<std::string> segments;
  while (!pattern.empty()) {
    pattern.remove_prefix(1);
    auto end = std::min(pattern.find('/'), pattern.size());
    segments.emplace_back(pattern.substr(0, end));
    pattern.remove_prefix(end);
  }
  return segments;
}

std::string join(const std::vector<std::string>& segments, std::size_t begin, std::size_t end) {
  std::string joined;
  for (std::size_t i = begin; i < end; ++i) {
    if (i > begin) joined += '/';
    joined += segments[i];
  }
  return joined;
}

// Whether `actual` fits `pattern`; a {name:.*}, of which a pattern has at most one, takes whatever
// the segments around it leave.
bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& actual,
          Params& params) {
  if (actual.size() < pattern.size()) return false;
  std::size_t extra = actual.size() - pattern.size();
  std::size_t at = 0;
  for (const std::string& segment : pattern) {
    std::size_t taken = 1;
    if (segment.starts_with('{')) {
      bool wide = segment.ends_with(":.*}");
      if (wide) taken += std::exchange(extra, 0);
      std::string value = join(actual, at, at + taken);
      if (value.empty()) return false;
      params.emplace_back(segment.substr(1, segment.size() - (wide ? 5 : 2)), std::move(value));
    } else if (segment != actual[at]) {
      return false;
    }
    at += taken;
  }
  return extra == 0;
}

}  // namespace

void Router::add(std::string method, std::string pattern, Handler handler, RouteOptions options) {
  auto segments = split_pattern(pattern);
  routes_.push_back(
      {std::move(method), std::move(pattern), std::move(segments), std::move(handler), options});
}

void Router::add_simple(std::string method, std::string pattern,
                        std::function<Result<Reply>(const Request&)> handler,
                        RouteOptions options) {
  add(
      std::move(method), std::move(pattern),
      [handler = std::move(handler), options](Request request, Responder responder) {
        auto reply = handler(request);
        if (options.confidential) wipe(request.body);
        responder.send(reply ? *std::move(reply) : Reply::error(reply.error()));
      },
      options);
}

void Router::add_unbuilt(std::string method, std::string pattern, std::string message) {
  // An upload to it need not be read to be refused.
  RouteOptions options{.body = BodyKind::kUpload, .where = Where::kLoop};
  add_simple(
      std::move(method), std::move(pattern),
      [message = std::move(message)](const Request&) -> Result<Reply> {
        return tl::unexpected(Error{Code::kNotImplemented, 0, message});
      },
      options);
}

Router::Match Router::match(std::string_view method,
                            const std::vector<std::string>& segments) const {
  Match match;
  const Route* get = nullptr;
  Params get_params;
  for (const Route& route : routes_) {
    Params params;
    if (!fits(route.segments, segments, params)) continue;
    if (route.method == method) {
      match.route = &route;
      match.params = std::move(params);
      return match;
    }
    if (method == "HEAD" && route.method == "GET" && !get) {
      get = &route;
      get_params = std::move(params);
    }
    if (match.allowed_methods.find(route.method) == std::string::npos)
      match.allowed_methods += (match.allowed_methods.empty() ? "" : ", ") + route.method;
  }
  match.route = get;
  match.params = std::move(get_params);
  return match;
}

}  // namespace holdfast::http
