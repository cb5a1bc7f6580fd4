#include "http/server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <set>

#include "base/log.h"
#include "http/connection.h"
#include "http/listener.h"
#include "http/tls.h"

namespace holdfast::http {
namespace {

constexpr auto kSweepInterval = std::chrono::milliseconds(500);
// Arrivals taken at one go, so that a storm of them leaves the other sockets their turn.
constexpr int kAcceptBatch = 32;

bool out_of_descriptors(int number) {
  return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

Peer describe_peer(int socket, const sockaddr_storage& address, socklen_t size) {
  Peer peer;
  if (address.ss_family == AF_UNIX) {
    ucred credentials = {};
    socklen_t length = sizeof credentials;
    peer.address = "unix";
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
      peer.uid = credentials.uid;
      peer.gid = credentials.gid;
      peer.pid = credentials.pid;
    }
    return peer;
  }
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "";
  ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port,
                sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  peer.address = fmt::format("tcp {}:{}", host, port);
  return peer;
}

}  // namespace

// What the server is, on the loop's thread. Listeners are set before it starts.
class Server::Core final : public ConnectionOwner,
                           public std::enable_shared_from_this<Server::Core> {
 public:
  Core(EventLoop& loop, ThreadPool& requests, ThreadPool& transfers, Router router,
       ServerOptions options)
      : loop_(loop),
        requests_(requests),
        transfers_(transfers),
        router_(std::move(router)),
        options_(std::move(options)) {}

  Status open() {
    bool encrypted = false;
    for (const std::string& host : options_.hosts) {
      if (host.starts_with("tcp://")) RETURN_IF_ERROR(check_tcp(host));
      ASSIGN_OR_RETURN(auto opened, open_listeners(host, options_.group));
      for (Listener& listener : opened) {
        addresses_.push_back(listener.address);
        if (listener.tcp) RETURN_IF_ERROR(check_tcp(listener.address));
        encrypted = encrypted || listener.tcp;
        listeners_.push_back(std::move(listener));
      }
    }
    if (encrypted) {
      ASSIGN_OR_RETURN(tls_, make_tls_context(options_.tls));
    }
    return {};
  }

  ~Core() {
    for (const Listener& listener : listeners_) remove_socket_file(listener);
  }

  void start() {
    loop_.post([self = shared_from_this()] {
      for (Listener& listener : self->listeners_) self->start_accepting(listener);
    });
  }

  // On the loop: `done` is called once all connections have ended.
  void stop(std::function<void()> done) {
    stopping_ = true;
    all_ended_ = std::move(done);
    for (auto& acceptor : acceptors_) acceptor->close();
    acceptors_.clear();
    for (const Listener& listener : listeners_) remove_socket_file(listener);
    listeners_.clear();
    for (auto& connection : copy_connections()) connection->stop();
    check_all_ended();
  }

  void cut() {
    for (auto& connection : copy_connections()) connection->close();
  }

  const std::vector<std::string>& addresses() const { return addresses_; }

  EventLoop& loop() override { return loop_; }
  const Router& router() const override { return router_; }
  const ServerOptions& options() const override { return options_; }

  void run(const Router::Route& route, Request request,
           std::shared_ptr<Exchange> exchange) override {
    struct Call {
      std::shared_ptr<Core> core;  // holds the route
      Request request;
      Responder responder;
    };
    // Shared, as the pool's tasks are copyable; one that is dropped answers by its Responder's end.
    auto call =
        std::make_shared<Call>(Call{shared_from_this(), std::move(request), Responder(exchange)});
    auto task = [call = std::move(call), exchange = std::move(exchange), &route] {
      route.handler(std::move(call->request), std::move(call->responder));
      exchange->handler_returned();
    };
    switch (route.options.where) {
      case Where::kPool:
        return requests_.submit(std::move(task));
      case Where::kTransfer:
        return transfers_.submit(std::move(task));
      case Where::kLoop:
        return task();
    }
  }

  void expect_deadline() override {
    if (sweeping_) return;
    sweeping_ = true;
    auto interval =
        std::min<std::chrono::milliseconds>(kSweepInterval, options_.limits.header_deadline / 4);
    sweep_ = loop_.after(interval, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->sweep();
    });
  }

  void ended(const std::shared_ptr<Connection>& connection) override {
    connections_.erase(connection);
    check_all_ended();
  }

 private:
  Status check_tcp(const std::string& address) {
    if (options_.tls.verify) return {};
    return fail(Code::kInvalidArgument,
                "refusing to listen on \"{}\" without --tlsverify: whoever can connect is root on "
                "this machine",
                address);
  }

  std::vector<std::shared_ptr<Connection>> copy_connections() const {
    return {connections_.begin(), connections_.end()};
  }

  void check_all_ended() {
    if (connections_.empty() && all_ended_) std::exchange(all_ended_, nullptr)();
  }

  // One timer for all connections: most deadlines are never reached, and a timer for each would
  // cost every request more than its parsing.
  void sweep() {
    sweeping_ = false;
    auto now = std::chrono::steady_clock::now();
    bool expecting = false;
    for (auto& connection : copy_connections())
      expecting = connection->check_deadline(now) || expecting;
    if (expecting) expect_deadline();
  }

  void start_accepting(Listener& listener) {
    bool tcp = listener.tcp;
    auto acceptor = Acceptor::create(loop_, std::move(listener.socket),
                                     [weak = weak_from_this(), tcp](BorrowedFd socket) {
                                       auto self = weak.lock();
                                       return self && self->accept_arrivals(socket, tcp);
                                     });
    acceptor->start();
    acceptors_.push_back(std::move(acceptor));
  }

  bool accept_arrivals(BorrowedFd socket, bool tcp) {
    for (int i = 0; i < kAcceptBatch; ++i) {
      sockaddr_storage address = {};
      socklen_t size = sizeof address;
      UniqueFd accepted(::accept4(socket.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                  SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (accepted) {
        adopt(std::move(accepted), address, size, tcp);
      } else if (out_of_descriptors(errno)) {
        if (!close_longest_idle()) return false;
      } else if (errno != ECONNABORTED && errno != EINTR) {
        return true;
      }
    }
    return true;
  }

  void adopt(UniqueFd socket, const sockaddr_storage& address, socklen_t size, bool tcp) {
    Peer peer = describe_peer(socket.get(), address, size);
    std::shared_ptr<Transport> transport;
    if (tcp) {
      int on = 1;
      ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto secured = Transport::tls(loop_, std::move(socket), tls_.get());
      if (!secured) return;
      transport = *std::move(secured);
    } else {
      transport = Transport::plain(loop_, std::move(socket));
    }
    auto connection = std::make_shared<Connection>(*this, std::move(transport), std::move(peer));
    connections_.insert(connection);
    if (connections_.size() > options_.limits.idle_connections) bound_idle();
    connection->start();
  }

  void bound_idle() {
    auto idle = std::count_if(connections_.begin(), connections_.end(), [](const auto& connection) {
      return connection->idle_since().has_value();
    });
    if (static_cast<std::size_t>(idle) > options_.limits.idle_connections) close_longest_idle();
  }

  // False when none is idle.
  bool close_longest_idle() {
    std::shared_ptr<Connection> longest;
    for (const auto& connection : connections_) {
      auto since = connection->idle_since();
      if (since && (!longest || *since < *longest->idle_since())) longest = connection;
    }
    if (!longest) return false;
    longest->close();
    return true;
  }

  EventLoop& loop_;
  ThreadPool& requests_;
  ThreadPool& transfers_;
  const Router router_;
  const ServerOptions options_;
  std::shared_ptr<SSL_CTX> tls_;
  std::vector<Listener> listeners_;
  std::vector<std::string> addresses_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::set<std::shared_ptr<Connection>> connections_;
  Subscription sweep_;
  bool sweeping_ = false;
  bool stopping_ = false;
  std::function<void()> all_ended_;
};

Result<std::unique_ptr<Server>> Server::create(EventLoop& loop, ThreadPool& requests,
                                               ThreadPool& transfers, Router router,
                                               ServerOptions options) {
  // OpenSSL writes to its sockets without MSG_NOSIGNAL. Children get the default back.
  ::signal(SIGPIPE, SIG_IGN);
  auto core =
      std::make_shared<Core>(loop, requests, transfers, std::move(router), std::move(options));
  RETURN_IF_ERROR(core->open());
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Server::~Server() { stop(std::chrono::milliseconds(0)); }

void Server::start() {
  started_ = true;
  core_->start();
}

void Server::stop(std::chrono::milliseconds grace) {
  if (std::exchange(stopped_, true) || !started_) return;
  auto done = std::make_shared<std::promise<void>>();
  auto ended = done->get_future();
  core_->loop().post([core = core_, done] { core->stop([done] { done->set_value(); }); });
  if (ended.wait_for(grace) == std::future_status::ready) return;
  core_->loop().post([core = core_] { core->cut(); });
  ended.wait();
}

std::vector<std::string> Server::addresses() const { return core_->addresses(); }

}  // namespace holdfast::http
