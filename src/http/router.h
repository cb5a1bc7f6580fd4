#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/request.h"
#include "http/responder.h"

namespace holdfast::http {

using Handler = std::function<void(Request, Responder)>;

// What a route does with a request's body.
enum class BodyKind {
  kSmall,   // collected whole, up to 4 MB, before the handler runs
  kUpload,  // handed on as it arrives: Request::upload
  kInput,   // left for the Duplex: its first input, where a client sends stdin as a chunked body
};

// Where a route's handler runs.
enum class Where {
  kPool,      // the pool for requests
  kTransfer,  // the pool for what may take as long as the client likes: up- and downloads
  kLoop,      // the event loop: for handlers that touch memory only
};

struct RouteOptions {
  BodyKind body = BodyKind::kSmall;
  Where where = Where::kPool;
  // A kSmall body that holds a secret: no copy of it stays in memory. Of routes added by
  // add_simple().
  bool confidential = false;
};

// The table of routes. Filled before the server starts, then only read, by any thread.
//
// A pattern is literal segments and {name}s: "/containers/{id}/json". {name:.*} takes one or more
// segments, slashes included, as image names need. Where several patterns match, the one added
// first wins.
class Router {
 public:
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;  // of the pattern
    Handler handler;
    RouteOptions options;
  };
  // A route and what its {names} matched; or no route, with kNotFound or, when another method would
  // have matched, kInvalidArgument and the methods that exist.
  struct Match {
    const Route* route = nullptr;
    std::vector<std::pair<std::string, std::string>> params;
    std::string allowed_methods;  // "GET, POST"; empty when no pattern matched
  };

  void add(std::string method, std::string pattern, Handler handler, RouteOptions options = {});

  // A route whose handler makes a whole answer and needs no more than the request.
  void add_simple(std::string method, std::string pattern,
                  std::function<Result<Reply>(const Request&)> handler, RouteOptions options = {});

  // A route of Docker's that isn't built: 501 with the message.
  void add_unbuilt(std::string method, std::string pattern, std::string message);

  // HEAD is answered by GET's route where it has none of its own.
  Match match(std::string_view method, const std::vector<std::string>& segments) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace holdfast::http
