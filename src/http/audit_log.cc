#include "http/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace holdfast::http {
namespace {

// What waits to be written when the disk stalls; lines beyond it are dropped, and that is logged.
constexpr std::size_t kQueueLimit = 4 << 20;

constexpr std::string_view kPublicParameters[] = {
    "all",     "condition",  "container", "detachKeys", "dry-run",
    "filters", "follow",     "force",     "fromImage",  "h",
    "link",    "logs",       "name",      "names",      "noOverwriteDirNonDir",
    "noprune", "path",       "platform",  "ps_args",    "quiet",
    "repo",    "signal",     "since",     "size",       "stderr",
    "stdin",   "stdout",     "stream",    "t",          "tag",
    "tail",    "timestamps", "type",      "until",      "v",
    "verbose", "w",          "wait"};

bool is_public(std::string_view name) {
  return std::find(std::begin(kPublicParameters), std::end(kPublicParameters), name) !=
         std::end(kPublicParameters);
}

// "https://user:secret@host/" carries credentials, escaped or not.
bool has_credentials(std::string_view value) {
  bool url = value.find("://") != std::string_view::npos ||
             value.find("%3A%2F%2F") != std::string_view::npos ||
             value.find("%3a%2f%2f") != std::string_view::npos;
  bool at =
      value.find('@') != std::string_view::npos || value.find("%40") != std::string_view::npos;
  return url && at;
}

}  // namespace

std::string redact_target(std::string_view target) {
  auto question = target.find('?');
  std::string redacted(target.substr(0, question));
  if (question == std::string_view::npos) return redacted;
  redacted += '?';
  std::string_view query = target.substr(question + 1);
  while (true) {
    auto end = query.find('&');
    std::string_view part = query.substr(0, end);
    auto equals = part.find('=');
    bool shown = equals == std::string_view::npos ||
                 (is_public(part.substr(0, equals)) && !has_credentials(part.substr(equals + 1)));
    redacted += shown ? std::string(part) : std::string(part.substr(0, equals)) + "=***";
    if (end == std::string_view::npos) return redacted;
    redacted += '&';
    query.remove_prefix(end + 1);
  }
}

std::string to_json_line(const AuditRecord& record) {
  json::Object line;
  line["time"] = to_rfc3339(record.time);
  if (record.peer.uid) line["uid"] = *record.peer.uid;
  if (record.peer.pid) line["pid"] = *record.peer.pid;
  line["peer"] = record.peer.address;
  if (!record.peer.subject.empty()) line["subject"] = record.peer.subject;
  line["method"] = record.method;
  line["target"] = record.target;
  line["status"] = record.status;
  line["ms"] = static_cast<double>(record.duration.count()) / 1000.0;
  for (const auto& [key, value] : record.details) line[key] = value;
  return json::serialize(line) + "\n";
}

struct AuditLog::File {
  const std::string path;
  std::mutex mutex;  // guards what follows
  std::string queue;
  std::size_t dropped = 0;
  bool writing = false;  // one thread at a time has the rest
  UniqueFd fd;
  std::size_t size = 0;

  explicit File(std::string where) : path(std::move(where)) {}

  Status open() {
    ASSIGN_OR_RETURN(fd, open_file(path, O_WRONLY | O_CREAT | O_APPEND, 0600));
    struct stat status = {};
    if (::fstat(fd.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
    size = static_cast<std::size_t>(status.st_size);
    return {};
  }

  Status append(std::string_view lines) {
    if (size > 0 && size + lines.size() > kRotateAt) {
      if (::rename(path.c_str(), (path + ".1").c_str()) != 0)
        return fail_errno("rename \"{0}\" to \"{0}.1\"", path);
      RETURN_IF_ERROR(open());
    }
    RETURN_IF_ERROR(write_all(fd, lines));
    size += lines.size();
    return {};
  }

  void write_queue() {
    while (true) {
      std::string lines;
      {
        std::lock_guard lock(mutex);
        lines.swap(queue);
        if (lines.empty()) {
          writing = false;
          return;
        }
        if (auto count = std::exchange(dropped, 0))
          log::error("audit log \"{}\": {} lines lost, the disk is too slow", path, count);
      }
      if (auto written = append(lines); !written)
        log::error("audit log \"{}\": {}", path, written.error().message);
    }
  }
};

AuditLog::AuditLog(std::shared_ptr<File> file, ThreadPool& pool)
    : file_(std::move(file)), pool_(pool) {}

// A stopped pool takes no work: what is queued is written here.
AuditLog::~AuditLog() { file_->write_queue(); }

Result<std::unique_ptr<AuditLog>> AuditLog::open(std::string path, ThreadPool& pool) {
  auto file = std::make_shared<File>(std::move(path));
  RETURN_IF_ERROR(file->open());
  return std::unique_ptr<AuditLog>(new AuditLog(std::move(file), pool));
}

void AuditLog::record(const AuditRecord& record) {
  if (record.status == 200 && record.target.ends_with("/_ping")) return;
  std::string line = to_json_line(record);
  {
    std::lock_guard lock(file_->mutex);
    if (file_->queue.size() + line.size() > kQueueLimit) {
      ++file_->dropped;
      return;
    }
    file_->queue += line;
    if (file_->writing) return;
    file_->writing = true;
  }
  pool_.submit([file = file_] { file->write_queue(); });
}

}  // namespace holdfast::http
