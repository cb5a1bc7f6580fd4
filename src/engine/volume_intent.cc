#include "engine/volume_intent.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "anonymous-volumes/";

std::string key_of(const ContainerId& container) { return std::string(kPrefix) + container.str(); }

// Held ones stay: the container came to be, or somebody else has taken the volume since.
std::vector<VolumePtr> unheld(const json::Object& intent, const Volumes& volumes) {
  std::vector<VolumePtr> found;
  for (const auto& text : json::strings_or_empty(intent, "Volumes")) {
    VolumeName name(text);
    auto volume = volumes.get(name);
    if (volume && (*volume)->anonymous() && volumes.holders(name).empty())
      found.push_back(std::move(*volume));
  }
  return found;
}

}  // namespace

void VolumeIntent::declare(Batch& batch, const std::vector<std::string>& volumes) const {
  batch.put(RecordKind::kIntent, key_of(container_),
            json::serialize(json::Object{{"Volumes", json::from_strings(volumes)}}));
}

void VolumeIntent::end(Batch& batch) const { batch.erase(RecordKind::kIntent, key_of(container_)); }

Result<std::vector<Record>> VolumeIntent::finish_all(Store& store, Volumes& volumes) {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kIntent));
  std::vector<Record> put_off;
  Batch done;
  for (const auto& record : records) {
    if (!record.key.starts_with(kPrefix)) continue;
    auto intent = json::parse_object(record.document);
    if (!intent) {
      log::error("intent {} is damaged: {}", record.key, intent.error().message);
      continue;
    }
    auto going = unheld(*intent, volumes);
    if (std::any_of(going.begin(), going.end(),
                    [](const auto& v) { return v->driver != "local"; })) {
      put_off.push_back(record);
      continue;
    }
    for (const auto& volume : going) {
      if (auto removed = volumes.remove(volume->name); !removed)
        log::warn("volume {}: {}", volume->name, removed.error().message);
    }
    done.erase(RecordKind::kIntent, record.key);
  }
  RETURN_IF_ERROR(store.commit(std::move(done)));
  return put_off;
}

Status VolumeIntent::finish(const Record& record, Store& store, Volumes& volumes) {
  ASSIGN_OR_RETURN(auto intent, json::parse_object(record.document));
  for (const auto& volume : unheld(intent, volumes)) RETURN_IF_ERROR(volumes.remove(volume->name));
  return store.erase(RecordKind::kIntent, record.key);
}

}  // namespace holdfast
