#include "os/child_call.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace holdfast {
namespace {

using Clock = std::chrono::steady_clock;

// What goes over the socket, after the child's pid: a head, and the text behind it.
struct Head {
  int number;
  int step;
};

constexpr std::size_t kControlSize = CMSG_SPACE(ChildReply::kMaxFiles * sizeof(int));

int close_range(unsigned first, unsigned last) {
  return static_cast<int>(::syscall(SYS_close_range, first, last, 0));
}

// Closes all but `kept` (sorted).
void close_others(const std::vector<int>& kept) {
  unsigned from = 0;
  for (int fd : kept) {
    auto number = static_cast<unsigned>(fd);
    if (number > from) close_range(from, number - 1);
    from = number + 1;
  }
  close_range(from, ~0U);
}

// The worker: says who it is, waits until somebody holds a pidfd of it, works and answers.
[[noreturn]] void run_worker(int socket, const std::vector<int>& kept,
                             const std::function<void(ChildReply&)>& work) {
  ::setsid();
  close_others(kept);
  pid_t self = ::getpid();
  char go = 0;
  if (::send(socket, &self, sizeof self, MSG_NOSIGNAL) != sizeof self ||
      ::recv(socket, &go, sizeof go, 0) != sizeof go)
    ::_exit(1);
  ChildReply reply;
  work(reply);
  ::_exit(reply.send(socket) ? 0 : 1);
}

// The worker's parent ends at once: whoever can't be killed is init's to reap, not ours to wait
// for.
[[noreturn]] void run_middle(int socket, const std::vector<int>& kept,
                             const std::function<void(ChildReply&)>& work) {
  pid_t worker = ::fork();
  if (worker == 0) run_worker(socket, kept, work);
  ::_exit(worker < 0 ? 1 : 0);
}

Status wait_for_middle(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return fail_errno("wait for process {}", pid);
  }
  if (status != 0) return fail(Code::kResourceExhausted, "fork: no more processes");
  return {};
}

// True when there is something to read before the deadline; of a pidfd, when its process has ended.
bool readable(BorrowedFd fd, Clock::time_point deadline) {
  while (true) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    struct pollfd entry = {fd.get(), POLLIN, 0};
    int ready = ::poll(&entry, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

Result<UniqueFd> meet_worker(BorrowedFd socket) {
  pid_t worker = 0;
  if (::recv(socket.get(), &worker, sizeof worker, 0) != sizeof worker)
    return fail(Code::kInternal, "child process ended before it began");
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, worker, 0)));
  if (!pidfd) return fail_errno("pidfd_open");
  char go = 1;
  if (::send(socket.get(), &go, sizeof go, MSG_NOSIGNAL) != sizeof go)
    return fail(Code::kInternal, "child process ended before it began");
  return pidfd;
}

void take_files(const msghdr& message, ChildAnswer& answer) {
  for (auto* part = CMSG_FIRSTHDR(&message); part;
       part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      answer.files.emplace_back(fd);
    }
  }
}

Result<ChildAnswer> receive(BorrowedFd socket) {
  Head head = {};
  std::array<char, ChildReply::kMaxText> text;
  alignas(cmsghdr) char control[kControlSize];
  iovec parts[] = {{&head, sizeof head}, {text.data(), text.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t count = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
  if (count < static_cast<ssize_t>(sizeof head))
    return fail(Code::kInternal, "child process ended without an answer");
  ChildAnswer answer;
  answer.number = head.number;
  answer.step = head.step;
  answer.text.assign(text.data(), static_cast<std::size_t>(count) - sizeof head);
  take_files(message, answer);
  return answer;
}

}  // namespace

void ChildReply::fail(int step, int number) {
  if (failed()) return;
  step_ = step;
  number_ = number;
}

void ChildReply::append(std::string_view text) {
  std::size_t count = std::min(text.size(), kMaxText - length_);
  std::memcpy(text_ + length_, text.data(), count);
  length_ += count;
}

void ChildReply::give(int fd) {
  if (count_ < kMaxFiles) files_[count_++] = fd;
}

bool ChildReply::send(int socket) const {
  Head head = {number_, step_};
  iovec parts[] = {{&head, sizeof head}, {const_cast<char*>(text_), length_}};
  alignas(cmsghdr) char control[kControlSize] = {};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  if (count_ > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count_ * sizeof(int));
    auto* files = CMSG_FIRSTHDR(&message);
    files->cmsg_level = SOL_SOCKET;
    files->cmsg_type = SCM_RIGHTS;
    files->cmsg_len = CMSG_LEN(count_ * sizeof(int));
    std::memcpy(CMSG_DATA(files), files_, count_ * sizeof(int));
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) >= 0;
}

Result<ChildAnswer> call_in_child(const std::vector<BorrowedFd>& keep,
                                  std::chrono::milliseconds deadline,
                                  const std::function<void(ChildReply&)>& work) {
  auto until = Clock::now() + deadline;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("socketpair");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  std::vector<int> kept = {theirs.get()};
  for (auto fd : keep) {
    if (fd.get() >= 0) kept.push_back(fd.get());
  }
  std::sort(kept.begin(), kept.end());
  pid_t middle = ::fork();
  if (middle < 0) return fail_errno("fork");
  if (middle == 0) run_middle(theirs.get(), kept, work);
  theirs.reset();
  RETURN_IF_ERROR(wait_for_middle(middle));
  ASSIGN_OR_RETURN(auto worker, meet_worker(ours));
  if (readable(ours, until)) {
    auto answer = receive(ours);
    // What it gave is ours alone once it is gone: then closing a mount unmounts it at once.
    static_cast<void>(readable(worker, until));
    return answer;
  }
  ::syscall(SYS_pidfd_send_signal, worker.get(), SIGKILL, nullptr, 0);
  return fail(Code::kDeadlineExceeded, "no answer within {} ms", deadline.count());
}

}  // namespace holdfast
