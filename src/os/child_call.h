#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// Calls into the kernel that may never come back (a file system whose server is away), made by a
// child process so that no thread of ours waits for them.
namespace holdfast {

// The child's side of a call: what it will tell. Usable after fork(2): allocates nothing.
class ChildReply {
 public:
  static constexpr std::size_t kMaxText = 1024;
  static constexpr std::size_t kMaxFiles = 4;

  // That step `step` failed with errno `number`; the first failure counts.
  void fail(int step, int number);
  bool failed() const { return number_ != 0; }

  void append(std::string_view text);  // beyond kMaxText it is cut
  void give(int fd);                   // hands a descriptor over; at most kMaxFiles

  // Sends it all; true if it went out.
  bool send(int socket) const;

 private:
  int number_ = 0;
  int step_ = 0;
  std::size_t length_ = 0;
  char text_[kMaxText] = {};
  std::size_t count_ = 0;
  int files_[kMaxFiles] = {};
};

struct ChildAnswer {
  int number = 0;  // errno of the step that failed; 0: all was done
  int step = 0;
  std::string text;
  std::vector<UniqueFd> files;
};

// Runs `work` in a child process and waits for its answer until the deadline; then the child is
// killed and left to init, even if the kernel doesn't let go of it, and kDeadlineExceeded is
// returned. The child has none of our descriptors but `keep`, under their numbers, so that one that
// hangs holds no lock and no socket of ours. `work` may make only async-signal-safe calls: what it
// needs is laid out before.
Result<ChildAnswer> call_in_child(const std::vector<BorrowedFd>& keep,
                                  std::chrono::milliseconds deadline,
                                  const std::function<void(ChildReply&)>& work);

}  // namespace holdfast
