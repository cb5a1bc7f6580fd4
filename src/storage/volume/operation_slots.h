#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace holdfast {

// One operation at a time for each name; different names never wait for each other. A slot may be
// held across slow work, so no mutex is taken while waiting for one, except its own. Thread-safe.
class OperationSlots {
 public:
  // Ends the turn at the end of its scope.
  class Turn {
   public:
    Turn(Turn&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)), name_(std::move(other.name_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (slots_) slots_->leave(name_);
    }

   private:
    friend class OperationSlots;
    Turn(OperationSlots* slots, std::string name) : slots_(slots), name_(std::move(name)) {}
    OperationSlots* slots_;
    std::string name_;
  };

  // Waits for the name's turn.
  [[nodiscard]] Turn enter(const std::string& name) {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return !taken_.contains(name); });
    taken_.insert(name);
    return Turn(this, name);
  }

  // nullopt when someone has the turn.
  [[nodiscard]] std::optional<Turn> try_enter(const std::string& name) {
    std::lock_guard lock(mutex_);
    if (!taken_.insert(name).second) return std::nullopt;
    return Turn(this, name);
  }

 private:
  void leave(const std::string& name) {
    std::lock_guard lock(mutex_);
    taken_.erase(name);
    freed_.notify_all();
  }

  std::mutex mutex_;  // guards taken_
  std::condition_variable freed_;
  std::set<std::string> taken_;
};

}  // namespace holdfast
