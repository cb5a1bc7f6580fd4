#include "http/body_reader.h"

#include <algorithm>
#include <cstring>

namespace holdfast::http {

Result<std::size_t> BodyReader::read(char* buffer, std::size_t size) {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return taken_ < bytes_.size() || finished_ || error_; });
  if (taken_ == bytes_.size()) {
    if (error_) return tl::unexpected(*error_);
    return 0;
  }
  std::size_t count = std::min(size, bytes_.size() - taken_);
  std::memcpy(buffer, bytes_.data() + taken_, count);
  taken_ += count;
  // Moving the rest down only once half is taken keeps the cost of a byte constant.
  if (taken_ == bytes_.size()) {
    bytes_.clear();
    taken_ = 0;
  } else if (taken_ >= kHighWater / 2) {
    bytes_.erase(0, taken_);
    taken_ = 0;
  }
  bool resume = paused_ && bytes_.size() - taken_ <= kHighWater / 2;
  if (resume) paused_ = false;
  lock.unlock();
  if (resume) resume_();
  return count;
}

Result<std::string> BodyReader::read_all(std::size_t limit) {
  std::string all;
  char buffer[16 << 10];
  while (true) {
    ASSIGN_OR_RETURN(auto count, read(buffer, sizeof buffer));
    if (count == 0) return all;
    if (all.size() + count > limit)
      return fail(Code::kResourceExhausted, "request body is larger than {} bytes", limit);
    all.append(buffer, count);
  }
}

bool BodyReader::push(std::string_view bytes) {
  std::lock_guard lock(mutex_);
  if (error_) return true;
  bytes_.append(bytes);
  arrived_.notify_one();
  paused_ = bytes_.size() - taken_ >= kHighWater;
  return !paused_;
}

void BodyReader::finish() {
  std::lock_guard lock(mutex_);
  finished_ = true;
  arrived_.notify_all();
}

void BodyReader::abort(Error error) {
  std::lock_guard lock(mutex_);
  if (!finished_ && !error_) error_ = std::move(error);
  arrived_.notify_all();
}

}  // namespace holdfast::http
