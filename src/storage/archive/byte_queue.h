#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"

namespace holdfast::archive {

// Blocks of bytes on their way from one thread to another; bounded, so that the faster one waits.
class ByteQueue {
 public:
  using Block = std::vector<char>;

  explicit ByteQueue(std::size_t limit) : limit_(limit) {}

  // Producer: false once the consumer has given up.
  bool push(Block block) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return blocks_.size() < limit_ || abandoned_; });
    if (abandoned_) return false;
    blocks_.push_back(std::move(block));
    changed_.notify_all();
    return true;
  }
  // Producer: a block to fill again, if the consumer returned one.
  Block recycled() {
    std::lock_guard lock(mutex_);
    if (spare_.empty()) return {};
    Block block = std::move(spare_.back());
    spare_.pop_back();
    return block;
  }
  // Producer: nothing more comes, for this reason.
  void end(Status status) {
    std::lock_guard lock(mutex_);
    ended_ = std::move(status);
    changed_.notify_all();
  }

  // Consumer: the next block, in exchange for the last one; empty at the end.
  Result<Block> pop(Block used) {
    std::unique_lock lock(mutex_);
    if (used.capacity() > 0 && spare_.size() < limit_) spare_.push_back(std::move(used));
    changed_.wait(lock, [&] { return !blocks_.empty() || ended_; });
    if (blocks_.empty()) {
      if (!*ended_) return tl::unexpected(ended_->error());
      return Block();
    }
    Block block = std::move(blocks_.front());
    blocks_.pop_front();
    changed_.notify_all();
    return block;
  }
  // Consumer: takes nothing more.
  void abandon() {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
  }

 private:
  const std::size_t limit_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<Block> blocks_;
  std::vector<Block> spare_;
  std::optional<Status> ended_;
  bool abandoned_ = false;
};

}  // namespace holdfast::archive
