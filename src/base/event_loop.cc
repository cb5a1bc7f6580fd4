#include "base/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>

#include "base/file.h"

namespace holdfast {
namespace asio = boost::asio;

struct EventLoop::Impl {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(context);
  std::thread thread;
};

namespace {

// Shared by the loop and the Subscription, whichever lives longer.
struct WatchState : std::enable_shared_from_this<WatchState> {
  using WaitType = asio::posix::stream_descriptor::wait_type;
  WatchState(asio::io_context& context, int fd, WaitType type, std::function<bool()> callback)
      : descriptor(context, fd), wait_type(type), ready(std::move(callback)) {}

  void arm() {
    descriptor.async_wait(wait_type,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (error || self->cancelled) return;
                            if (self->ready() && !self->cancelled) {
                              self->arm();
                            } else {
                              self->close();
                            }
                          });
  }
  void close() {
    boost::system::error_code ignored;
    descriptor.close(ignored);
    ready = nullptr;
  }

  asio::posix::stream_descriptor descriptor;
  const WaitType wait_type;
  std::function<bool()> ready;
  std::atomic<bool> cancelled = false;
};

struct TimerState {
  explicit TimerState(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  std::atomic<bool> cancelled = false;
};

}  // namespace

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}

EventLoop::~EventLoop() { stop(); }

void EventLoop::post(std::function<void()> task) { asio::post(impl_->context, std::move(task)); }

namespace {

Result<Subscription> start_watch(asio::io_context& context, BorrowedFd fd,
                                 WatchState::WaitType type, std::function<bool()> ready) {
  ASSIGN_OR_RETURN(auto copy, duplicate(fd));
  auto state = std::make_shared<WatchState>(context, copy.release(), type, std::move(ready));
  // The descriptor is only touched on the loop's thread: asio's objects are not thread-safe.
  asio::post(context, [state] { state->arm(); });
  return Subscription([state, &context] {
    state->cancelled = true;
    asio::post(context, [state] { state->close(); });
  });
}

}  // namespace

Result<Subscription> EventLoop::watch(BorrowedFd fd, std::function<bool()> ready) {
  return start_watch(impl_->context, fd, WatchState::WaitType::wait_read, std::move(ready));
}

Result<Subscription> EventLoop::when_writable(BorrowedFd fd, std::function<void()> ready) {
  return start_watch(impl_->context, fd, WatchState::WaitType::wait_write,
                     [ready = std::move(ready)] {
                       ready();
                       return false;
                     });
}

Subscription EventLoop::after(std::chrono::milliseconds delay, std::function<void()> task) {
  auto state = std::make_shared<TimerState>(impl_->context);
  post([state, delay, task = std::move(task)] {
    state->timer.expires_after(delay);
    state->timer.async_wait([state, task](const boost::system::error_code& error) {
      if (!error && !state->cancelled) task();
    });
  });
  return Subscription([state, &context = impl_->context] {
    state->cancelled = true;
    asio::post(context, [state] { state->timer.cancel(); });
  });
}

void EventLoop::start() {
  impl_->thread = std::thread([this] { impl_->context.run(); });
}

void EventLoop::stop() {
  impl_->context.stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

asio::io_context& EventLoop::context() { return impl_->context; }

}  // namespace holdfast
