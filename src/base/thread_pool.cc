#include "base/thread_pool.h"

#include <algorithm>
#include <chrono>

namespace holdfast {
namespace {
constexpr auto kIdleTime = std::chrono::seconds(10);
// Beyond this many threads that wait outside, the next ones count as busy.
constexpr std::size_t kMaxLent = 256;
// The pool whose thread this is.
thread_local ThreadPool* own_pool = nullptr;
}  // namespace

ThreadPool::ThreadPool(std::size_t limit) : limit_(limit) {}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::submit(std::function<void()> task) {
  std::unique_lock lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (idle_ >= queue_.size() || threads_ >= limit_ + std::min(lent_, kMaxLent)) {
    wake_.notify_one();
    return;
  }
  start_thread();
}

// Detached, because a thread that has been idle for long ends by itself; stop() waits for the count
// instead.
void ThreadPool::start_thread() {
  ++threads_;
  std::thread([this] { run(); }).detach();
}

void ThreadPool::run() {
  own_pool = this;
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
    // One that stood in for a thread that is back.
    if (threads_ > limit_ + std::min(lent_, kMaxLent)) break;
  }
  --threads_;
  ended_.notify_all();
}

void ThreadPool::lend() {
  std::lock_guard lock(mutex_);
  ++lent_;
  if (lent_ <= kMaxLent && queue_.size() > idle_ && threads_ < limit_ + lent_) start_thread();
}

void ThreadPool::take_back() {
  std::lock_guard lock(mutex_);
  --lent_;
}

ThreadPool::OutsideWait::OutsideWait() : pool_(own_pool) {
  if (pool_) pool_->lend();
}

ThreadPool::OutsideWait::~OutsideWait() {
  if (pool_) pool_->take_back();
}

void ThreadPool::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  ended_.wait(lock, [this] { return threads_ == 0; });
}

}  // namespace holdfast
