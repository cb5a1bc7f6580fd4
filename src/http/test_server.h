#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/event_loop.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "http/server.h"

namespace holdfast::http {

constexpr auto kDeadline = std::chrono::seconds(10);

// A test that has to wait for something in the server waits for this.
class Event {
 public:
  void set() {
    std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kDeadline, [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

template <typename Condition>
bool wait_until(Condition condition) {
  auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// A client's end of a Unix socket that says exactly what it is told to. Every wait ends after ten
// seconds, failing the test.
class RawClient {
 public:
  explicit RawClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ =
        ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    timeval timeout{10, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  }

  bool connected() const { return connected_; }
  int fd() const { return socket_.get(); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  void shutdown_write() { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_.reset(); }

  // One read: empty at the end of the stream or after the timeout (then `timed_out`).
  std::string receive() {
    char buffer[64 << 10];
    ssize_t count = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    timed_out_ = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    return count > 0 ? std::string(buffer, static_cast<std::size_t>(count)) : std::string();
  }

  // Reads until `text` is there, which must be before the stream ends; returns all up to its end.
  std::string read_until(std::string_view text) {
    while (true) {
      auto at = buffered_.find(text);
      if (at != std::string::npos) {
        std::string taken = buffered_.substr(0, at + text.size());
        buffered_.erase(0, taken.size());
        return taken;
      }
      std::string more = receive();
      if (more.empty()) {
        ADD_FAILURE() << "\"" << text << "\" never came; got: " << buffered_;
        return std::exchange(buffered_, {});
      }
      buffered_ += more;
    }
  }

  // Reads to the end of the stream.
  std::string read_to_end() {
    std::string all = std::exchange(buffered_, {});
    for (std::string more = receive(); !more.empty(); more = receive()) all += more;
    EXPECT_FALSE(timed_out_) << "the server keeps the connection open; got: " << all.substr(0, 500);
    return all;
  }

  // Reads one answer with a Content-Length (or none) and returns it whole.
  std::string read_reply() {
    std::string head = read_until("\r\n\r\n");
    auto at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    auto size = static_cast<std::size_t>(std::atoll(head.c_str() + at + 16));
    while (buffered_.size() < size) {
      std::string more = receive();
      if (more.empty()) {
        ADD_FAILURE() << "the body of the answer is cut: " << head << buffered_;
        break;
      }
      buffered_ += more;
    }
    std::string body = buffered_.substr(0, size);
    buffered_.erase(0, size);
    return head + body;
  }

  std::string ask(std::string_view request) {
    send(request);
    return read_reply();
  }

 private:
  UniqueFd socket_;
  bool connected_ = false;
  bool timed_out_ = false;
  std::string buffered_;
};

// A server on a socket in a folder of its own, with the routes a test adds before start().
class TestServer {
 public:
  TestServer() {
    char path[] = "/tmp/holdfast-http-XXXXXX";
    directory_ = ::mkdtemp(path);
    options.hosts = {"unix://" + socket_path()};
    options.version = "test";
    loop.start();
  }
  ~TestServer() {
    stop();
    ::rmdir(directory_.c_str());
  }

  std::string socket_path() const { return directory_ + "/s"; }
  const std::string& directory() const { return directory_; }

  void start() {
    auto created = Server::create(loop, requests, transfers, std::move(router), options);
    ASSERT_TRUE(created) << created.error().message;
    server = *std::move(created);
    server->start();
  }

  void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(0)) {
    if (server) server->stop(grace);
    requests.stop();
    transfers.stop();
    server.reset();
  }

  RawClient connect() const { return RawClient(socket_path()); }
  std::string ask(std::string_view request) const { return connect().ask(request); }

  EventLoop loop;
  ThreadPool requests{4};
  ThreadPool transfers{4};
  Router router;
  ServerOptions options;
  std::unique_ptr<Server> server;

 private:
  std::string directory_;
};

inline std::string get(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: docker\r\n\r\n";
}

inline std::string post_json(std::string_view target, std::string_view body) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: "
      "{}\r\n\r\n{}",
      target, body.size(), body);
}

}  // namespace holdfast::http
