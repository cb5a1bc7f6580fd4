#include "storage/copy/early_writeback.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kPause(100);

}  // namespace

// A descriptor of its own: each hears of failures once, and the one who syncs in the end must.
EarlyWriteback::EarlyWriteback(BorrowedFd directory) {
  auto opened = open_file_at(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!opened) return;
  directory_ = std::move(*opened);
  thread_ = std::thread([this] { run(); });
}

EarlyWriteback::~EarlyWriteback() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void EarlyWriteback::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kPause, [this] { return ended_; })) {
    lock.unlock();
    ::syncfs(directory_.get());
    lock.lock();
  }
}

}  // namespace holdfast
