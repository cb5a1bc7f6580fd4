#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "client/endpoint.h"
#include "client/http_client.h"

namespace holdfast::client {

constexpr std::string_view kApiVersion = "1.50";  // the newest we speak

// Query parameters in the order given.
using Query = std::vector<std::pair<std::string, std::string>>;

// What GET /_ping says of a daemon.
struct Ping {
  std::string api_version;
  std::string os_type;
  bool experimental = false;
};

// Speaks the Engine API to one daemon: agrees on the version at the first request, and turns the
// daemon's {"message"} into an Error that reads "Error response from daemon: …", its Code following
// from the status. Paths below /holdfast/ are those of Holdfast's own API, which no other daemon
// has: kNotImplemented says so. A connection a request; one owner; not thread-safe.
class EngineClient {
 public:
  explicit EngineClient(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

  const Endpoint& endpoint() const { return endpoint_; }
  Result<Ping> ping();
  // The version agreed on, DOCKER_API_VERSION if that is set; asks the daemon once.
  Result<std::string> api_version();
  // Whether the version agreed on is at least "1.nn".
  bool speaks(std::string_view version);

  // Each fails on a status of 400 and above. An empty or non-JSON body is null.
  Result<json::Value> get(std::string_view path, const Query& query = {});
  Result<json::Value> post(std::string_view path, const Query& query = {},
                           const json::Value& body = nullptr, const Headers& headers = {});
  Result<json::Value> remove(std::string_view path, const Query& query = {});
  Result<json::Value> patch(std::string_view path, const json::Value& body);

  // A response to be read as it comes.
  Result<Response> open(Request request, std::string_view path, const Query& query = {});
  // A request whose answer is taken later, by finish(): for many under way at once.
  Result<Stream> begin(Request request, std::string_view path, const Query& query = {});
  Result<json::Value> finish(Stream stream);
  // Attach and exec: the raw stream of an upgraded connection, and its media type.
  struct Hijacked {
    Stream stream;
    std::string media_type;
  };
  Result<Hijacked> hijack(std::string_view path, const Query& query, const json::Value& body);

 private:
  Result<std::string> target(std::string_view path, const Query& query);

  Endpoint endpoint_;
  std::optional<std::string> version_;
};

// -1, 0, 1 as `a` is older than, the same as, or newer than `b` ("1.9" < "1.41").
int compare_versions(std::string_view a, std::string_view b);

}  // namespace holdfast::client
