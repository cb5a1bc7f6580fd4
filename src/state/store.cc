#include "state/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr int kSchemaVersion = 2;  // 2: intents

// Pages that were written when SQLite copies them from its log to the file.
constexpr std::size_t kLogFrames = 256;

constexpr std::array kTables = {
    std::pair{RecordKind::kVolume, "volumes"},
    std::pair{RecordKind::kContainer, "containers"},
    std::pair{RecordKind::kImage, "images"},
    std::pair{RecordKind::kReference, "image_references"},
    std::pair{RecordKind::kLayer, "layers"},
    std::pair{RecordKind::kNetwork, "networks"},
    std::pair{RecordKind::kSecret, "secrets"},
    std::pair{RecordKind::kSetting, "settings"},
    std::pair{RecordKind::kIntent, "intents"},
};

const char* table_of(RecordKind kind) {
  for (const auto& [known, table] : kTables) {
    if (known == kind) return table;
  }
  CHECK(false);
  return "";
}

Code code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
      return Code::kDataLoss;
    case SQLITE_FULL:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kUnavailable;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
      return Code::kPermissionDenied;
    default:
      return Code::kInternal;
  }
}

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using DatabasePtr = std::unique_ptr<sqlite3, CloseDatabase>;
using StatementPtr = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

tl::unexpected<Error> fail_sqlite(sqlite3* db, const std::string& path) {
  return fail(code_of(sqlite3_extended_errcode(db)), "state database \"{}\": {}", path,
              sqlite3_errmsg(db));
}

std::string_view column_text(sqlite3_stmt* statement, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
  return {text ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

}  // namespace

void Batch::put(RecordKind kind, std::string key, std::string document) {
  changes_.push_back({kind, std::move(key), false, std::move(document)});
}

void Batch::erase(RecordKind kind, std::string key) {
  changes_.push_back({kind, std::move(key), true, {}});
}

struct Store::Impl {
  // One caller's batch on its way to disk.
  struct Pending {
    const Batch* batch;
    Status result;
    bool done = false;
  };

  Status execute(const std::string& sql);
  Result<int> user_version();
  Status allocate_log();
  Status prepare_schema();
  Status apply(const Batch& batch);
  Status apply_change(const Batch::Change& change);
  Result<sqlite3_stmt*> statement(const std::string& sql);
  void commit_group(std::unique_lock<std::mutex>& lock);
  Status commit_together(const std::deque<Pending*>& group);
  void commit_one_by_one(const std::deque<Pending*>& group);

  std::string path;
  DatabasePtr db;  // used under `database_mutex`
  std::map<std::string, StatementPtr> statements;
  std::mutex database_mutex;  // taken after queue_mutex is released, never while it is held

  std::mutex queue_mutex;  // guards what follows
  std::condition_variable queue_changed;
  std::deque<Pending*> queue;
  bool leader_at_work = false;
  std::string failed;  // why no commit is taken any more; empty while all is well
};

Status Store::Impl::execute(const std::string& sql) {
  if (sqlite3_exec(db.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail_sqlite(db.get(), path);
  }
  return {};
}

Result<sqlite3_stmt*> Store::Impl::statement(const std::string& sql) {
  auto& entry = statements[sql];
  if (!entry) {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v3(db.get(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &prepared,
                           nullptr) != SQLITE_OK) {
      return fail_sqlite(db.get(), path);
    }
    entry.reset(prepared);
  }
  sqlite3_reset(entry.get());
  sqlite3_clear_bindings(entry.get());
  return entry.get();
}

Result<int> Store::Impl::user_version() {
  ASSIGN_OR_RETURN(auto* read, statement("PRAGMA user_version"));
  if (sqlite3_step(read) != SQLITE_ROW) return fail_sqlite(db.get(), path);
  int version = sqlite3_column_int(read, 0);
  sqlite3_reset(read);
  return version;
}

// A sync of blocks that are written over costs a fraction of one that makes the file longer, which
// has to wait for the file system's journal. So the log is made as long as it gets before SQLite
// begins it anew. Zeros behind its frames end it, as what an earlier round left there does.
Status Store::Impl::allocate_log() {
  constexpr std::size_t kLength = 32 + kLogFrames * (24 + 4096);
  ASSIGN_OR_RETURN(auto log, open_file(path + "-wal", O_WRONLY | O_CREAT | O_APPEND, 0600));
  struct stat status = {};
  if (::fstat(log.get(), &status) != 0) return fail_errno("stat \"{}-wal\"", path);
  auto length = static_cast<std::size_t>(status.st_size);
  if (length >= kLength) return {};
  // A full disk makes commits slower, or fails them when they come.
  if (auto written = write_all(log, std::string(kLength - length, '\0')); !written)
    return written.error().code == Code::kResourceExhausted ? Status{} : written;
  if (::fsync(log.get()) != 0) return fail_errno("sync \"{}-wal\"", path);
  return {};
}

Status Store::Impl::prepare_schema() {
  RETURN_IF_ERROR(
      execute(fmt::format("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                          "PRAGMA wal_autocheckpoint={}; PRAGMA busy_timeout=5000; "
                          "PRAGMA cache_size=-512; PRAGMA foreign_keys=ON",
                          kLogFrames)));
  RETURN_IF_ERROR(allocate_log());
  ASSIGN_OR_RETURN(int version, user_version());
  if (version > kSchemaVersion) {
    return fail(Code::kFailedPrecondition,
                "state database \"{}\" has schema {}, which a newer holdfastd wrote; this one "
                "knows up to {}",
                path, version, kSchemaVersion);
  }
  if (version == kSchemaVersion) return {};
  std::string sql = "BEGIN IMMEDIATE;";
  for (const auto& [kind, table] : kTables) {
    sql += fmt::format(
        "CREATE TABLE IF NOT EXISTS {} (key TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT "
        "ROWID;",
        table);
  }
  sql += fmt::format("PRAGMA user_version={}; COMMIT", kSchemaVersion);
  return execute(sql);
}

Status Store::Impl::apply_change(const Batch::Change& change) {
  std::string sql = change.erased
                        ? fmt::format("DELETE FROM {} WHERE key=?1", table_of(change.kind))
                        : fmt::format(
                              "INSERT INTO {} (key, document) VALUES (?1, ?2) "
                              "ON CONFLICT(key) DO UPDATE SET document=excluded.document",
                              table_of(change.kind));
  ASSIGN_OR_RETURN(auto* write, statement(sql));
  sqlite3_bind_text(write, 1, change.key.data(), static_cast<int>(change.key.size()),
                    SQLITE_STATIC);
  if (!change.erased) {
    sqlite3_bind_text(write, 2, change.document.data(), static_cast<int>(change.document.size()),
                      SQLITE_STATIC);
  }
  int result = sqlite3_step(write);
  Status status = {};
  if (result != SQLITE_DONE) status = fail_sqlite(db.get(), path);
  sqlite3_reset(write);
  return status;
}

Status Store::Impl::apply(const Batch& batch) {
  for (const auto& change : batch.changes_) RETURN_IF_ERROR(apply_change(change));
  return {};
}

Status Store::Impl::commit_together(const std::deque<Pending*>& group) {
  RETURN_IF_ERROR(execute("BEGIN IMMEDIATE"));
  Status status = {};
  for (auto* pending : group) {
    status = apply(*pending->batch);
    if (!status) break;
  }
  if (status) status = execute("COMMIT");
  if (!status) (void)execute("ROLLBACK");  // fails where SQLite has rolled back by itself
  return status;
}

// After a group failed, each batch is tried alone, so that one caller's oversized change doesn't
// fail another's.
void Store::Impl::commit_one_by_one(const std::deque<Pending*>& group) {
  for (auto* pending : group) pending->result = commit_together({pending});
}

// Called with the queue locked by the one caller that leads; the others sleep until theirs is done,
// or until it is one of them that leads: nobody waits for what came after him.
void Store::Impl::commit_group(std::unique_lock<std::mutex>& lock) {
  leader_at_work = true;
  std::deque<Pending*> group;
  group.swap(queue);
  std::string refusal = failed;
  lock.unlock();
  Status status = {};
  {
    std::lock_guard database_lock(database_mutex);
    if (!refusal.empty()) {
      status = fail(Code::kDataLoss, "{}", refusal);
    } else {
      status = commit_together(group);
    }
    if (!status && refusal.empty() && group.size() > 1 && status.error().code != Code::kDataLoss) {
      commit_one_by_one(group);
    } else {
      for (auto* pending : group) pending->result = status;
    }
  }
  lock.lock();
  if (!status && status.error().code == Code::kDataLoss && failed.empty()) {
    failed = fmt::format("the state database is read-only since a write failed: {}",
                         status.error().message);
  }
  for (auto* pending : group) pending->done = true;
  leader_at_work = false;
  queue_changed.notify_all();
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  sqlite3* db = nullptr;
  int result = sqlite3_open_v2(
      path.c_str(), &db,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  impl->db.reset(db);
  if (result != SQLITE_OK) return fail_sqlite(db, path);
  RETURN_IF_ERROR(impl->prepare_schema());
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Result<std::vector<Record>> Store::all(RecordKind kind) {
  std::lock_guard lock(impl_->database_mutex);
  ASSIGN_OR_RETURN(auto* read, impl_->statement(fmt::format(
                                   "SELECT key, document FROM {} ORDER BY key", table_of(kind))));
  std::vector<Record> records;
  int result;
  while ((result = sqlite3_step(read)) == SQLITE_ROW) {
    records.push_back({std::string(column_text(read, 0)), std::string(column_text(read, 1))});
  }
  Status status = {};
  if (result != SQLITE_DONE) status = fail_sqlite(impl_->db.get(), impl_->path);
  sqlite3_reset(read);
  if (!status) return tl::unexpected(status.error());
  return records;
}

Result<std::optional<std::string>> Store::get(RecordKind kind, const std::string& key) {
  std::lock_guard lock(impl_->database_mutex);
  ASSIGN_OR_RETURN(auto* read, impl_->statement(fmt::format("SELECT document FROM {} WHERE key=?1",
                                                            table_of(kind))));
  sqlite3_bind_text(read, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
  int result = sqlite3_step(read);
  std::optional<std::string> document;
  Status status = {};
  if (result == SQLITE_ROW)
    document = column_text(read, 0);
  else if (result != SQLITE_DONE)
    status = fail_sqlite(impl_->db.get(), impl_->path);
  sqlite3_reset(read);
  if (!status) return tl::unexpected(status.error());
  return document;
}

Status Store::commit(Batch batch) {
  if (batch.changes_.empty()) return {};
  Impl::Pending pending{&batch, {}};
  std::unique_lock lock(impl_->queue_mutex);
  impl_->queue.push_back(&pending);
  while (!pending.done) {
    if (impl_->leader_at_work)
      impl_->queue_changed.wait(lock);
    else
      impl_->commit_group(lock);
  }
  return pending.result;
}

Status Store::put(RecordKind kind, std::string key, std::string document) {
  Batch batch;
  batch.put(kind, std::move(key), std::move(document));
  return commit(std::move(batch));
}

Status Store::erase(RecordKind kind, std::string key) {
  Batch batch;
  batch.erase(kind, std::move(key));
  return commit(std::move(batch));
}

}  // namespace holdfast
