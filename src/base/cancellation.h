#pragma once

#include <atomic>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// A request to stop, made by one thread and noticed by others: as a flag between steps, as a
// readable descriptor in poll(2). Shared by shared_ptr or outliving those who look; thread-safe;
// never taken back.
class Cancellation {
 public:
  Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  void cancel();
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // Readable once cancelled.
  BorrowedFd fd() const { return fd_; }

  // kCancelled with Go's words, which clients know: "context canceled".
  Status check() const;

 private:
  std::atomic<bool> cancelled_{false};
  UniqueFd fd_;
};

}  // namespace holdfast
