#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/unique_fd.h"
#include "runtime/attach.h"

namespace holdfast {

// One record of a container's log. `bytes` ends with its newline unless `partial`: then the line
// goes on in the next record of the same stream (or the container ended without a newline).
struct LogRecord {
  Time time;
  OutputStream stream = OutputStream::kStdout;
  bool partial = false;
  std::string_view bytes;  // valid during the call only
};

// Reads the log that conmon writes in its "k8s-file" format: one line "TIME STREAM TAG BYTES" per
// record, TIME in RFC 3339 with nanoseconds, STREAM stdout or stderr, TAG "F" or "P" (partial).
// Incremental: it stops before a record that isn't whole yet and goes on there next time. One
// owner; not thread-safe; the writer may go on meanwhile.
class LogReader {
 public:
  // A missing file is kNotFound.
  static Result<LogReader> open(const std::string& path);

  // Moves to where the last `lines` lines begin, reading backwards from the end; to the end for 0.
  // A line counts once however many records it has.
  Status seek_tail(std::uint64_t lines);

  // Calls `take` for each whole record from here on, up to `limit` bytes of log (at least one
  // record); `take` returns false to stop after it. Returns whether the end was reached.
  Result<bool> read_more(const std::function<bool(const LogRecord&)>& take,
                         std::uint64_t limit = UINT64_MAX);

  // Where the next read_more() begins, in bytes from the file's beginning; open() + set_offset()
  // goes on where another reader was. Lines that are no records are left out.
  std::uint64_t offset() const { return offset_; }
  void set_offset(std::uint64_t offset) { offset_ = offset; }

 private:
  explicit LogReader(UniqueFd file) : file_(std::move(file)) {}

  UniqueFd file_;
  std::uint64_t offset_ = 0;
};

// Parses one line without its newline; false if it is no record.
bool parse_log_line(std::string_view line, LogRecord& record);

// Calls `changed` on the loop's thread each time the log at `path` grew (or may have), by inotify;
// it returns false to end.
Result<Subscription> watch_log(EventLoop& loop, const std::string& path,
                               std::function<bool()> changed);

}  // namespace holdfast
