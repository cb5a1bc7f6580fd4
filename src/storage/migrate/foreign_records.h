#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "storage/migrate/bolt_file.h"

// What other engines have on record of their volumes, out of their databases. The databases may be
// anybody's; records that can't be understood are left out, which leaves a volume without labels.
namespace holdfast {

struct ForeignRecord {
  std::string driver;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> options;  // in the words of our local driver
  std::optional<Time> created;
  std::string mountpoint;  // where they keep it, if that is on record
};
using ForeignRecords = std::map<std::string, ForeignRecord>;  // by name

// Of Docker's volumes/metadata.db.
Result<ForeignRecords> docker_records(const BoltFile& database);

// Docker's options of a volume of its local driver, its opts.json.
Result<std::map<std::string, std::string>> docker_options(std::string_view document);

// Of Podman's libpod/bolt_state.db.
Result<ForeignRecords> podman_records(const BoltFile& database);

// Of the bytes of Podman's db.sql, a SQLite database that is in no transaction. What it holds is
// only looked at as a table: views, functions and triggers of its are refused.
Result<ForeignRecords> podman_sqlite_records(std::string bytes, const std::string& path);

}  // namespace holdfast
