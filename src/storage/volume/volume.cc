#include "storage/volume/volume.h"

#include "base/json.h"

namespace holdfast {

json::Object Volume::to_object() const {
  json::Object document;
  document["id"] = id;
  document["name"] = name.str();
  document["driver"] = driver;
  document["created"] = to_rfc3339(created);
  document["labels"] = json::from_string_map(labels);
  document["options"] = json::from_string_map(options);
  return document;
}

Result<Volume> Volume::from_object(const json::Object& document) {
  Volume volume;
  volume.id = json::string_or(document, "id");
  volume.name = VolumeName(json::string_or(document, "name"));
  volume.driver = json::string_or(document, "driver");
  volume.labels = json::string_map_or_empty(document, "labels");
  volume.options = json::string_map_or_empty(document, "options");
  auto created = parse_rfc3339(json::string_or(document, "created"));
  if (volume.id.empty() || volume.driver.empty() || !check_volume_name(volume.name.str()) ||
      !created)
    return fail(Code::kDataLoss, "volume record lacks a valid id, name, driver or time");
  volume.created = *created;
  return volume;
}

std::string Volume::to_json() const { return json::serialize(to_object()); }

Result<Volume> Volume::from_json(std::string_view document) {
  auto parsed = json::parse_object(document);
  if (!parsed) return fail(Code::kDataLoss, "volume record: {}", parsed.error().message);
  return from_object(*parsed);
}

std::string VolumeRow::to_json() const {
  json::Object document = volume.to_object();
  if (last_used != Time{}) document["last_used"] = to_rfc3339(last_used);
  if (fresh) document["fresh"] = true;
  return json::serialize(document);
}

Result<VolumeRow> VolumeRow::from_json(std::string_view document) {
  auto parsed = json::parse_object(document);
  if (!parsed) return fail(Code::kDataLoss, "volume record: {}", parsed.error().message);
  VolumeRow row;
  ASSIGN_OR_RETURN(row.volume, Volume::from_object(*parsed));
  row.last_used = parse_rfc3339(json::string_or(*parsed, "last_used")).value_or(Time{});
  row.fresh = json::bool_or(*parsed, "fresh", false);
  return row;
}

Status check_record_size(const Volume& volume) {
  constexpr std::size_t kLargest = 512 << 10;
  std::size_t size = volume.to_json().size();
  if (size <= kLargest) return {};
  return fail(Code::kInvalidArgument, "labels and options take {} bytes, {} are allowed", size,
              kLargest);
}

}  // namespace holdfast
