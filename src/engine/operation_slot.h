#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

namespace holdfast {

// Lets one long operation at a time work on a thing; others wait their turn. Unlike a mutex it may
// be held over mounts, child processes and syncs, because nothing that must not wait ever takes it.
// Any thread may end what another began.
class OperationSlot {
 public:
  class Guard {
   public:
    Guard() = default;
    explicit Guard(OperationSlot* slot) : slot_(slot) {}
    Guard(Guard&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      std::swap(slot_, other.slot_);
      return *this;
    }
    ~Guard() { release(); }
    void release() {
      if (auto* slot = std::exchange(slot_, nullptr)) slot->release();
    }

   private:
    OperationSlot* slot_ = nullptr;
  };

  [[nodiscard]] Guard acquire() {
    std::unique_lock lock(mutex_);
    free_.wait(lock, [this] { return !taken_; });
    taken_ = true;
    return Guard(this);
  }

 private:
  void release() {
    std::lock_guard lock(mutex_);
    taken_ = false;
    free_.notify_one();
  }

  std::mutex mutex_;  // guards taken_
  std::condition_variable free_;
  bool taken_ = false;
};

}  // namespace holdfast
