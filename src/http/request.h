#pragma once

#include <sys/types.h>

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/body_reader.h"

// A request as handlers see it: parsed, decoded and within its limits.
namespace holdfast::http {

// A version of the Docker Engine API, as in "/v1.41/…".
struct ApiVersion {
  int major = 1;
  int minor = 50;
  friend auto operator<=>(const ApiVersion&, const ApiVersion&) = default;
};

constexpr ApiVersion kMinApiVersion = {1, 24};
constexpr ApiVersion kMaxApiVersion = {1, 50};

std::string to_string(ApiVersion version);

// "1.41" within the range we speak; otherwise kInvalidArgument with the words of Docker.
Result<ApiVersion> parse_api_version(std::string_view text);

// Decodes %XX; with `plus_is_space`, '+' too, as in a query. kInvalidArgument for a bad escape.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

// The decoded query parameters, in the order they came; a name may come more than once.
class Query {
 public:
  static Result<Query> parse(std::string_view text);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  // The first value of the name.
  std::string get(std::string_view name, std::string_view fallback = {}) const;
  std::vector<std::string> all(std::string_view name) const;

  // As Docker reads a boolean: "", "0", "no", "false" and "none" are false, the rest is true; the
  // fallback is for a name that did not come at all.
  bool flag(std::string_view name, bool fallback = false) const;
  // Absent or empty: the fallback (nullopt). Not a number: kInvalidArgument.
  Result<std::int64_t> number(std::string_view name, std::int64_t fallback = 0) const;
  Result<std::optional<std::int64_t>> optional_number(std::string_view name) const;

  const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

 private:
  const std::string* find(std::string_view name) const;

  std::vector<std::pair<std::string, std::string>> items_;
};

// Header fields in the order they came; names compare without regard to case.
class Headers {
 public:
  void add(std::string name, std::string value) {
    items_.emplace_back(std::move(name), std::move(value));
  }
  // The first value of the name, or nullptr.
  const std::string* find(std::string_view name) const;
  std::string get(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  // Whether the comma-separated list of all values of the name has `token`, in any case.
  bool has_token(std::string_view name, std::string_view token) const;

  const std::vector<std::pair<std::string, std::string>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, std::string>> items_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b);

// A request's target, taken apart.
struct Target {
  std::vector<std::string> segments;  // of the path, each decoded; the version prefix is left out
  ApiVersion version;                 // kMaxApiVersion when the path has no prefix
  Query query;
};

// Splits "/v1.41/containers/a%20b/json?all=1". kInvalidArgument for what is no target, has a NUL in
// it, or names a version that we don't speak.
Result<Target> parse_target(std::string_view text);

// Who is at the other end of a connection.
struct Peer {
  std::optional<uid_t> uid;  // of a Unix socket: SO_PEERCRED
  std::optional<gid_t> gid;
  std::optional<pid_t> pid;
  std::string address;  // "unix" or "tcp 127.0.0.1:4711"
  std::string subject;  // of the TLS client certificate
};

// One request. Handlers own theirs; not thread-safe.
struct Request {
  std::string method;
  std::string path;  // decoded, without the version prefix; for messages, not for decisions
  std::vector<std::string> segments;
  ApiVersion version;
  Query query;
  Headers headers;
  std::vector<std::pair<std::string, std::string>> params;  // what the route's {names} matched
  std::string body;                    // whole, except on routes with BodyKind::kUpload
  std::shared_ptr<BodyReader> upload;  // on those; shared with the connection that fills it
  Peer peer;

  // What {name} of the route's pattern matched; empty if the pattern has no such name.
  const std::string& param(std::string_view name) const;
};

}  // namespace holdfast::http
