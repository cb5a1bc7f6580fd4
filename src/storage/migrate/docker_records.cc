#include "base/json.h"
#include "storage/migrate/foreign_records.h"

namespace holdfast {

Result<ForeignRecords> docker_records(const BoltFile& database) {
  auto bucket = database.bucket("volumes");
  if (!bucket && bucket.error().code == Code::kNotFound) return ForeignRecords{};
  if (!bucket) return tl::unexpected(std::move(bucket).error());
  ASSIGN_OR_RETURN(auto entries, database.entries(*bucket));
  ForeignRecords records;
  for (const auto& entry : entries) {
    auto document = json::parse_object(entry.value);
    if (entry.bucket || !document) continue;
    ForeignRecord record;
    record.driver = json::string_or(*document, "Driver", "local");
    record.labels = json::string_map_or_empty(*document, "Labels");
    record.options = json::string_map_or_empty(*document, "Options");
    records.emplace(entry.key, std::move(record));
  }
  return records;
}

Result<std::map<std::string, std::string>> docker_options(std::string_view document) {
  ASSIGN_OR_RETURN(auto parsed, json::parse_object(document));
  std::map<std::string, std::string> options;
  auto take = [&](const char* theirs, const char* ours) {
    if (auto value = json::string_or(parsed, theirs); !value.empty()) options[ours] = value;
  };
  take("MountType", "type");
  take("MountOpts", "o");
  take("MountDevice", "device");
  auto size = json::int_or(json::object_or_empty(parsed, "Quota"), "Size");
  if (size > 0) options["size"] = std::to_string(size);
  return options;
}

}  // namespace holdfast
