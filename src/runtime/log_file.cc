#include "runtime/log_file.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr std::size_t kBlock = 64 << 10;

// Reads into `buffer` from `offset` until it is full or the file ends.
Result<std::size_t> read_at(BorrowedFd file, std::uint64_t offset, char* buffer, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    ssize_t count =
        ::pread(file.get(), buffer + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read log");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<std::uint64_t> file_size(BorrowedFd file) {
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("stat log");
  return static_cast<std::uint64_t>(status.st_size);
}

// Whether the record in `line` ends a line of output; what is no record doesn't count.
bool ends_line(std::string_view line) {
  auto stream = line.find(' ');
  if (stream == std::string_view::npos) return false;
  auto tag = line.find(' ', stream + 1);
  return tag != std::string_view::npos && line.substr(tag + 1, 2) == "F ";
}

// Walks over the lines of a file from its end.
class BackwardLines {
 public:
  BackwardLines(BorrowedFd file, std::uint64_t end) : file_(file), position_(end), start_(end) {}

  // The line before the last one returned: its offset and its first bytes. False at the beginning.
  Result<bool> next(std::uint64_t& offset, std::string& line) {
    if (position_ == 0) return false;
    std::uint64_t end = position_ - 1;  // the newline that ends the line
    ASSIGN_OR_RETURN(std::uint64_t begin, line_begin(end));
    line.resize(std::min<std::uint64_t>(end - begin, kHead));
    ASSIGN_OR_RETURN(auto count, read_at(file_, begin, line.data(), line.size()));
    line.resize(count);
    offset = begin;
    position_ = begin;
    return true;
  }

 private:
  static constexpr std::size_t kHead = 64;  // time, stream and tag

  // Where the line that ends at `end` begins.
  Result<std::uint64_t> line_begin(std::uint64_t end) {
    while (end > 0) {
      RETURN_IF_ERROR(load_before(end));
      auto newline = std::string_view(block_).substr(0, end - start_).rfind('\n');
      if (newline != std::string_view::npos) return start_ + newline + 1;
      end = start_;
    }
    return std::uint64_t{0};
  }

  // Makes the bytes just before `end` part of the block.
  Status load_before(std::uint64_t end) {
    if (start_ < end && end <= start_ + block_.size()) return {};
    start_ = end > kBlock ? end - kBlock : 0;
    block_.resize(end - start_);
    ASSIGN_OR_RETURN(auto count, read_at(file_, start_, block_.data(), block_.size()));
    if (count != block_.size()) return fail(Code::kAborted, "the log became shorter");
    return {};
  }

  BorrowedFd file_;
  std::uint64_t position_;
  std::uint64_t start_;
  std::string block_;
};

}  // namespace

bool parse_log_line(std::string_view line, LogRecord& record) {
  auto first = line.find(' ');
  if (first == std::string_view::npos) return false;
  auto second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return false;
  auto name = line.substr(first + 1, second - first - 1);
  auto tag = line.substr(second + 1, 2);
  if ((name != "stdout" && name != "stderr") || (tag != "F " && tag != "P ")) return false;
  auto time = parse_rfc3339(line.substr(0, first));
  if (!time) return false;
  record.time = *time;
  record.stream = name == "stderr" ? OutputStream::kStderr : OutputStream::kStdout;
  record.partial = tag == "P ";
  record.bytes = line.substr(second + 3);
  return true;
}

Result<LogReader> LogReader::open(const std::string& path) {
  ASSIGN_OR_RETURN(auto file, open_file(path, O_RDONLY));
  return LogReader(std::move(file));
}

Status LogReader::seek_tail(std::uint64_t lines) {
  ASSIGN_OR_RETURN(auto size, file_size(file_));
  // A record the writer isn't done with counts as not there yet.
  while (size > 0) {
    char last = 0;
    ASSIGN_OR_RETURN(auto count, read_at(file_, size - 1, &last, 1));
    if (count == 1 && last == '\n') break;
    --size;
  }
  offset_ = size;
  BackwardLines walk(file_, size);
  std::uint64_t begin = 0;
  std::string line;
  bool last_record = true;
  while (true) {
    ASSIGN_OR_RETURN(bool found, walk.next(begin, line));
    if (!found) return {};
    // A record that ends a line belongs to the line before the ones already taken; the very last
    // record stands for a line even when its output had no newline.
    if (ends_line(line) || last_record) {
      if (lines == 0) return {};
      --lines;
    }
    last_record = false;
    offset_ = begin;
  }
}

Result<bool> LogReader::read_more(const std::function<bool(const LogRecord&)>& take,
                                  std::uint64_t limit) {
  std::string buffer(kBlock, '\0');
  std::uint64_t taken = 0;
  while (true) {
    ASSIGN_OR_RETURN(auto count, read_at(file_, offset_, buffer.data(), buffer.size()));
    std::string_view rest(buffer.data(), count);
    bool at_end = count < buffer.size();
    if (rest.find('\n') == std::string_view::npos) {
      if (at_end) return true;
      buffer.resize(buffer.size() * 2);  // one record longer than the buffer
      continue;
    }
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      LogRecord record;
      bool valid = parse_log_line(rest.substr(0, end), record);
      // The newline that ends a full record belongs to the output; that of a partial one doesn't.
      if (valid && !record.partial) {
        record.bytes = std::string_view(record.bytes.data(), record.bytes.size() + 1);
      }
      rest.remove_prefix(end + 1);
      offset_ += end + 1;
      taken += end + 1;
      if (valid && !take(record)) return false;
      if (taken >= limit) return false;
    }
    if (at_end) return true;
  }
}

Result<Subscription> watch_log(EventLoop& loop, const std::string& path,
                               std::function<bool()> changed) {
  // Shared by the callback alone, which the loop may copy.
  auto inotify = std::make_shared<UniqueFd>(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!*inotify) return fail_errno("inotify_init");
  if (::inotify_add_watch(inotify->get(), path.c_str(),
                          IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB) < 0) {
    return fail_errno("watch log \"{}\"", path);
  }
  BorrowedFd fd = *inotify;
  return loop.watch(fd, [inotify = std::move(inotify), changed = std::move(changed)] {
    std::array<char, 4096> events;
    while (::read(inotify->get(), events.data(), events.size()) > 0) continue;
    return changed();
  });
}

}  // namespace holdfast
