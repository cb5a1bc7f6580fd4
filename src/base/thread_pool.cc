#include "base/thread_pool.h"

#include <chrono>

namespace holdfast {
namespace {
constexpr auto kIdleTime = std::chrono::seconds(10);
}

ThreadPool::ThreadPool(std::size_t limit) : limit_(limit) {}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::submit(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (idle_ >= queue_.size() || threads_ >= limit_) {
    wake_.notify_one();
    return;
  }
  ++threads_;
  // Detached, because a thread that has been idle for long ends by itself; stop() waits for the
  // count instead.
  std::thread([this] { run(); }).detach();
}

void ThreadPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (queue_.empty()) {
      ++idle_;
      bool woken = wake_.wait_for(lock, kIdleTime, [this] { return !queue_.empty() || stopping_; });
      --idle_;
      if (queue_.empty() && (stopping_ || !woken)) break;
    }
    auto task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it captured ends outside of the lock
    lock.lock();
  }
  --threads_;
  ended_.notify_all();
}

void ThreadPool::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  ended_.wait(lock, [this] { return threads_ == 0; });
}

}  // namespace holdfast
