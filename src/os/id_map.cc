#include "os/id_map.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr std::size_t kMostRanges = 340;  // user_namespaces(7), since Linux 4.15

std::uint64_t end_of(std::uint32_t begin, const IdRange& range) {
  return std::uint64_t{begin} + range.count;
}

bool overlap(std::uint32_t left, const IdRange& left_range, std::uint32_t right,
             const IdRange& right_range) {
  return left < end_of(right, right_range) && right < end_of(left, left_range);
}

std::string map_text(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const auto& range : ranges)
    text += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
  return text;
}

// The kernel takes a map in one write.
Status write_map(const std::string& path, const std::vector<IdRange>& ranges) {
  ASSIGN_OR_RETURN(auto file, open_file(path, O_WRONLY));
  std::string text = map_text(ranges);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno("write \"{}\"", path);
  return {};
}

// A child in a user namespace of its own, which waits until it is let go: only from outside can the
// maps be written. It has none of our descriptors, whose copies would keep the daemon's locks.
class NamespaceChild {
 public:
  static Result<NamespaceChild> spawn() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return fail_errno("socketpair");
    UniqueFd ours(ends[0]), theirs(ends[1]);
    pid_t pid = ::fork();
    if (pid < 0) return fail_errno("fork");
    if (pid == 0) wait_inside(theirs.get());
    NamespaceChild child(pid, std::move(ours));
    theirs.reset();
    int outcome = 0;
    if (::read(child.control_.get(), &outcome, sizeof outcome) != sizeof outcome)
      return fail(Code::kInternal, "user namespace: its first process ended early");
    if (outcome != 0) return fail_errno_text(outcome, "make user namespace");
    return child;
  }

  NamespaceChild(NamespaceChild&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), control_(std::move(other.control_)) {}
  NamespaceChild& operator=(NamespaceChild&&) = delete;
  ~NamespaceChild() {
    if (pid_ == 0) return;
    control_.reset();
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  std::string file(const char* name) const { return fmt::format("/proc/{}/{}", pid_, name); }

 private:
  NamespaceChild(pid_t pid, UniqueFd control) : pid_(pid), control_(std::move(control)) {}

  // System calls only, as after any fork(2) of a process with threads.
  [[noreturn]] static void wait_inside(int socket) {
    int outcome = ::unshare(CLONE_NEWUSER) == 0 ? 0 : errno;
    auto own = static_cast<unsigned>(socket);
    if (own > 0) ::syscall(SYS_close_range, 0U, own - 1, 0U);
    ::syscall(SYS_close_range, own + 1, ~0U, 0U);
    char ignored = 0;
    if (::write(socket, &outcome, sizeof outcome) == sizeof outcome) [[maybe_unused]]
      auto count = ::read(socket, &ignored, 1);
    ::_exit(0);
  }

  pid_t pid_;
  UniqueFd control_;
};

}  // namespace

std::vector<IdRange> swap_ids(std::uint32_t one, std::uint32_t other) {
  if (one == other) return {{0, 0, kNoId}};
  auto [low, high] = std::minmax(one, other);
  std::vector<IdRange> ranges = {
      {0, 0, low},
      {low, high, 1},
      {low + 1, low + 1, high - low - 1},
      {high, low, 1},
      {high + 1, high + 1, kNoId - high - 1},
  };
  std::erase_if(ranges, [](const IdRange& range) { return range.count == 0; });
  return ranges;
}

Status check_id_ranges(const std::vector<IdRange>& ranges) {
  if (ranges.size() > kMostRanges)
    return fail(Code::kInvalidArgument, "{} ranges of ids, the kernel takes {}", ranges.size(),
                kMostRanges);
  for (auto range = ranges.begin(); range != ranges.end(); ++range) {
    auto named = [&](std::string_view what) {
      return fail(Code::kInvalidArgument, "range {}-{}-{} {}", range->inside, range->outside,
                  range->count, what);
    };
    if (range->count == 0) return named("is empty");
    if (end_of(range->inside, *range) > kNoId || end_of(range->outside, *range) > kNoId)
      return named("goes beyond the highest id");
    for (auto before = ranges.begin(); before != range; ++before) {
      if (overlap(before->inside, *before, range->inside, *range) ||
          overlap(before->outside, *before, range->outside, *range))
        return named("overlaps another");
    }
  }
  return {};
}

std::uint32_t map_id(const std::vector<IdRange>& ranges, std::uint32_t id) {
  for (const auto& range : ranges) {
    if (id >= range.inside && id < end_of(range.inside, range))
      return range.outside + (id - range.inside);
  }
  return kNoId;
}

std::uint32_t unmap_id(const std::vector<IdRange>& ranges, std::uint32_t id) {
  for (const auto& range : ranges) {
    if (id >= range.outside && id < end_of(range.outside, range))
      return range.inside + (id - range.outside);
  }
  return kNoId;
}

Result<UniqueFd> make_user_namespace(const IdMap& map) {
  ASSIGN_OR_RETURN(auto child, NamespaceChild::spawn());
  RETURN_IF_ERROR(write_map(child.file("uid_map"), map.uids));
  RETURN_IF_ERROR(write_map(child.file("gid_map"), map.gids));
  return open_file(child.file("ns/user"), O_RDONLY);
}

}  // namespace holdfast
