#include <sqlite3.h>

#include <cstring>
#include <memory>

#include "base/json.h"
#include "base/text.h"
#include "storage/migrate/foreign_records.h"

namespace holdfast {
namespace {

constexpr int kOpcodesAtATime = 1'000'000;
constexpr int kMostTimes = 200;
constexpr int kLongestValue = 16 << 20;

bool has_word(const std::string& words, std::string_view wanted) {
  for (const auto& word : split(words, ','))
    if (word == wanted) return true;
  return false;
}

// Podman's own options of a volume without a mount (uid, gid, size, …) have had their effect on its
// directory; of a mount, the type "bind" is not mount(8)'s.
std::map<std::string, std::string> local_options(const json::Object& config) {
  auto theirs = json::string_map_or_empty(config, "volumeOptions");
  std::map<std::string, std::string> options;
  if (auto size = json::int_or(config, "size"); size > 0) options["size"] = std::to_string(size);
  if (!theirs.contains("device")) return options;
  for (const char* key : {"type", "o", "device"})
    if (auto found = theirs.find(key); found != theirs.end()) options[key] = found->second;
  auto& words = options["o"];
  if (options["type"] == "bind" || options["type"].empty()) {
    options["type"] = "none";
    if (!has_word(words, "bind") && !has_word(words, "rbind"))
      words += words.empty() ? "bind" : ",bind";
  }
  if (words.empty()) options.erase("o");
  return options;
}

void add_record(ForeignRecords& records, std::string_view name, std::string_view document) {
  auto config = json::parse_object(document);
  if (!config) return;
  ForeignRecord record;
  record.driver = json::string_or(*config, "volumeDriver", "local");
  if (record.driver.empty()) record.driver = "local";
  record.labels = json::string_map_or_empty(*config, "labels");
  record.options = record.driver == "local" ? local_options(*config)
                                            : json::string_map_or_empty(*config, "volumeOptions");
  if (auto created = parse_rfc3339(json::string_or(*config, "createdAt")))
    record.created = *created;
  record.mountpoint = json::string_or(*config, "mountPoint");
  records.emplace(name, std::move(record));
}

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using DatabasePtr = std::unique_ptr<sqlite3, CloseDatabase>;

// Reading columns is all that is allowed: no functions, no virtual tables, no views that recurse.
int allow_reading(void*, int action, const char*, const char*, const char*, const char*) {
  return action == SQLITE_SELECT || action == SQLITE_READ ? SQLITE_OK : SQLITE_DENY;
}

int count_down(void* left) { return --*static_cast<int*>(left) <= 0 ? 1 : 0; }

// A database that was written with a write-ahead log says so; in memory there is none.
void forget_write_ahead_log(std::string& bytes) {
  constexpr std::size_t kWriteVersion = 18, kReadVersion = 19;
  if (bytes.size() < 100) return;
  for (auto at : {kWriteVersion, kReadVersion})
    if (bytes[at] == 2) bytes[at] = 1;
}

Result<DatabasePtr> open_in_memory(std::string& bytes, const std::string& path) {
  sqlite3* opened = nullptr;
  int result = sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE, nullptr);
  DatabasePtr database(opened);
  if (result != SQLITE_OK) return fail(Code::kInternal, "open a database in memory");
  forget_write_ahead_log(bytes);
  auto size = static_cast<sqlite3_int64>(bytes.size());
  if (sqlite3_deserialize(opened, "main", reinterpret_cast<unsigned char*>(bytes.data()), size,
                          size, SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
    return fail(Code::kDataLoss, "database \"{}\": {}", path, sqlite3_errmsg(opened));
  sqlite3_db_config(opened, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(opened, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(opened, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(opened, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_limit(opened, SQLITE_LIMIT_LENGTH, kLongestValue);
  return database;
}

std::string_view text_of(sqlite3_stmt* row, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, column));
  return {text ? text : "", static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

}  // namespace

Result<ForeignRecords> podman_records(const BoltFile& database) {
  auto bucket = database.bucket("vol");
  if (!bucket && bucket.error().code == Code::kNotFound) return ForeignRecords{};
  if (!bucket) return tl::unexpected(std::move(bucket).error());
  ASSIGN_OR_RETURN(auto volumes, database.entries(*bucket));
  ForeignRecords records;
  std::size_t seen = 0;
  for (const auto& volume : volumes) {
    if (!volume.bucket) continue;
    ASSIGN_OR_RETURN(auto parts, database.entries(volume));
    for (const auto& part : parts) seen += part.key.size() + part.value.size();
    if (seen > database.size())
      return fail(Code::kDataLoss, "Podman's database is damaged: buckets of it share pages");
    for (const auto& part : parts)
      if (!part.bucket && part.key == "config") add_record(records, volume.key, part.value);
  }
  return records;
}

Result<ForeignRecords> podman_sqlite_records(std::string bytes, const std::string& path) {
  ASSIGN_OR_RETURN(auto database, open_in_memory(bytes, path));
  int left = kMostTimes;
  sqlite3_progress_handler(database.get(), kOpcodesAtATime, count_down, &left);
  sqlite3_set_authorizer(database.get(), allow_reading, nullptr);
  auto damaged = [&] {
    return fail(Code::kDataLoss, "database \"{}\": {}", path, sqlite3_errmsg(database.get()));
  };
  sqlite3_stmt* prepared = nullptr;
  int result = sqlite3_prepare_v2(database.get(), "SELECT Name, JSON FROM VolumeConfig", -1,
                                  &prepared, nullptr);
  std::unique_ptr<sqlite3_stmt, FinalizeStatement> rows(prepared);
  if (result != SQLITE_OK) return damaged();
  ForeignRecords records;
  while ((result = sqlite3_step(prepared)) == SQLITE_ROW)
    add_record(records, text_of(prepared, 0), text_of(prepared, 1));
  if (result != SQLITE_DONE) return damaged();
  return records;
}

}  // namespace holdfast
