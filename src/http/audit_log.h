#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/thread_pool.h"
#include "http/server.h"

namespace holdfast::http {

// The target as it may be written down: query values are kept for names known to carry no secret,
// the rest become "***", as do credentials inside of URLs.
std::string redact_target(std::string_view target);

// {"time":…,"uid":…,"pid":…,"peer":…,"method":…,"target":…,"status":…,"ms":…} and the details.
std::string to_json_line(const AuditRecord& record);

// An append-only file of one JSON line per request, mode 0600; beyond kRotateAt it is renamed to
// "<path>.1", replacing the one before. Lines are queued and written by a thread of the pool, in
// order; not synced. Owned by the daemon's main; all methods may be called from any thread. The
// pool must be stopped first.
class AuditLog {
 public:
  static constexpr std::size_t kRotateAt = 64 << 20;

  static Result<std::unique_ptr<AuditLog>> open(std::string path, ThreadPool& pool);
  ~AuditLog();

  // Everything but pings, which say nothing and are many.
  void record(const AuditRecord& record);

 private:
  struct File;
  explicit AuditLog(std::shared_ptr<File> file, ThreadPool& pool);

  const std::shared_ptr<File> file_;  // shared with writes under way
  ThreadPool& pool_;
};

}  // namespace holdfast::http
