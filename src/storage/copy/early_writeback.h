#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/unique_fd.h"

namespace holdfast {

// While it lives, what is written to a file system goes on to its disk, so that whoever syncs it
// afterwards has little left to wait for. Short work is over before that begins.
class EarlyWriteback {
 public:
  // `directory` lies on that file system, and is open for reading.
  explicit EarlyWriteback(BorrowedFd directory);
  ~EarlyWriteback();
  EarlyWriteback(const EarlyWriteback&) = delete;
  EarlyWriteback& operator=(const EarlyWriteback&) = delete;

 private:
  void run();

  UniqueFd directory_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace holdfast
