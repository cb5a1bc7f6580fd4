#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/thread_pool.h"

namespace holdfast {

// A question that is asked in the background, again and again, and whose last answer is kept. Who
// wants the answer waits for it with a limit; once somebody has waited in vain nobody waits any
// more until it has come. Thread-safe; outlives the pool's threads.
template <typename T>
class Inquiry {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  Inquiry(ThreadPool& pool, std::function<Result<T>()> ask) : pool_(pool), ask_(std::move(ask)) {}

  struct Heard {
    std::optional<T> value;  // the last there was
    bool fresh = false;      // asked for since `since`
    std::string problem;     // why it is not fresh, where that is known
  };

  // Sees to it that it is being asked.
  void begin() {
    std::lock_guard lock(mutex_);
    begin_locked();
  }

  // An answer to a question asked at or after `since`, if it comes before `deadline`.
  Heard await(TimePoint since, TimePoint deadline) {
    std::unique_lock lock(mutex_);
    while (answered_ < since && !in_vain_) {
      begin_locked();
      if (heard_.wait_until(lock, deadline) == std::cv_status::no_timeout) continue;
      in_vain_ = asking_;
      break;
    }
    Heard heard{value_, false, problem_};
    if (in_vain_ && heard.problem.empty()) heard.problem = "it has not answered yet";
    heard.fresh = answered_ >= since && problem_.empty();
    return heard;
  }

  bool in_vain() const {
    std::lock_guard lock(mutex_);
    return in_vain_;
  }
  // Somebody who asked the same party something else has waited in vain.
  void give_up() {
    std::lock_guard lock(mutex_);
    begin_locked();
    in_vain_ = true;
  }
  std::optional<T> last() const {
    std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  void begin_locked() {
    if (asking_) return;
    asking_ = true;
    auto began = std::chrono::steady_clock::now();
    pool_.submit([this, began] {
      auto answer = ask_();
      std::lock_guard lock(mutex_);
      asking_ = in_vain_ = false;
      answered_ = began;
      problem_ = answer ? std::string() : answer.error().message;
      if (answer) value_ = std::move(*answer);
      heard_.notify_all();
    });
  }

  ThreadPool& pool_;
  const std::function<Result<T>()> ask_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable heard_;
  bool asking_ = false;
  bool in_vain_ = false;
  TimePoint answered_;  // when the question was asked that was answered last
  std::optional<T> value_;
  std::string problem_;
};

}  // namespace holdfast
