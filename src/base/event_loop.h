#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/error.h"
#include "base/unique_fd.h"

namespace boost::asio {
class io_context;
}

namespace holdfast {

// Something an EventLoop will call back for; dropping it cancels. After cancel() returns on the
// loop's thread the callback never runs again; from another thread, a call already under way may
// still finish.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  Subscription(Subscription&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      cancel();
      cancel_ = std::exchange(other.cancel_, nullptr);
    }
    return *this;
  }
  ~Subscription() { cancel(); }

  void cancel() {
    if (auto cancel = std::exchange(cancel_, nullptr)) cancel();
  }
  // Lets it go on for as long as the loop does.
  void release() { cancel_ = nullptr; }

 private:
  std::function<void()> cancel_;
};

// The one thread that waits for descriptors and timers. Callbacks run on it, one after the other,
// and must not block: hand work that can to the ThreadPool. All methods may be called from any
// thread.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();  // stop()s
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `task` on the loop's thread, soon.
  void post(std::function<void()> task);

  // Calls `ready` each time `fd` is readable (a pidfd: once its process has ended), until cancelled
  // or until `ready` returns false. The fd is duplicated: the caller may close its own.
  [[nodiscard]] Result<Subscription> watch(BorrowedFd fd, std::function<bool()> ready);

  // Calls `ready` once, when `fd` is writable. The fd is duplicated.
  [[nodiscard]] Result<Subscription> when_writable(BorrowedFd fd, std::function<void()> ready);

  // Calls `task` once, after `delay`.
  [[nodiscard]] Subscription after(std::chrono::milliseconds delay, std::function<void()> task);

  // Starts the thread; stop() ends it after the callback under way and drops what is queued.
  void start();
  void stop();

  // For those that do their own asynchronous I/O on the loop (http).
  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
