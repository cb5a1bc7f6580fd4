#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/thread_pool.h"
#include "http/request.h"
#include "http/router.h"

namespace holdfast::http {

// Files of the server's TLS identity and of the authority that signs its clients.
struct TlsFiles {
  bool verify = false;  // --tlsverify: without it no TCP listener is opened
  std::string ca;
  std::string certificate;
  std::string key;
};

// One answered request, for the audit log.
struct AuditRecord {
  Time time;
  Peer peer;
  std::string method;
  std::string target;  // path and query as sent, secrets redacted
  int status = 0;
  std::chrono::microseconds duration{};
  std::vector<std::pair<std::string, std::string>> details;
};

struct Limits {
  std::size_t header_bytes = 16 << 10;
  std::size_t small_body_bytes = 4 << 20;
  std::size_t idle_connections = 1024;  // beyond it, those that idled longest are closed
  std::chrono::milliseconds header_deadline = std::chrono::seconds(10);
  std::chrono::milliseconds body_deadline = std::chrono::seconds(60);  // of a small body, whole
  std::chrono::milliseconds idle_deadline = std::chrono::minutes(5);   // between requests
};

struct ServerOptions {
  std::vector<std::string> hosts;  // "unix:///run/docker.sock", "tcp://127.0.0.1:2376", "fd://"
  std::string group;               // owns Unix sockets; empty: "docker" where it exists
  TlsFiles tls;
  Limits limits;
  std::string version;                            // of the product, for the Server header
  std::function<void(const AuditRecord&)> audit;  // called on the loop, may be empty
};

// The HTTP server: listeners and connections, all on the loop's thread; handlers on the pools.
// Owned by the daemon's main. The loop must outlive it, and the pools must be stopped after stop()
// and before the loop ends, as handlers under way still refer to their connections.
class Server {
 public:
  // Binds every host, so that clients may connect and wait, but accepts none before start(). Unix
  // sockets get mode 0660; one left behind by a dead process is replaced, one on which somebody
  // answers is kAlreadyExists. A TCP host without tls.verify is kInvalidArgument.
  static Result<std::unique_ptr<Server>> create(EventLoop& loop, ThreadPool& requests,
                                                ThreadPool& transfers, Router router,
                                                ServerOptions options);
  ~Server();  // stop()s

  void start();

  // Takes no further connections and removes our sockets from the file system; waits up to `grace`
  // for handlers under way to finish their answers; cuts what is left, streams without a running
  // handler at once. Not for the loop's thread. Safe to repeat.
  void stop(std::chrono::milliseconds grace);

  // Where it listens, in the words of ServerOptions::hosts; a tcp port 0 as the port it got.
  std::vector<std::string> addresses() const;

 private:
  class Core;
  explicit Server(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;  // shared with handlers that are still running
  bool started_ = false;
  bool stopped_ = false;
};

}  // namespace holdfast::http
