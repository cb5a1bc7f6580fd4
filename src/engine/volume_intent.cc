#include "engine/volume_intent.h"

#include "base/json.h"
#include "base/log.h"

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "anonymous-volumes/";

std::string key_of(const ContainerId& container) { return std::string(kPrefix) + container.str(); }

}  // namespace

void VolumeIntent::declare(Batch& batch, const std::vector<std::string>& volumes) const {
  batch.put(RecordKind::kIntent, key_of(container_),
            json::serialize(json::Object{{"Volumes", json::from_strings(volumes)}}));
}

void VolumeIntent::end(Batch& batch) const { batch.erase(RecordKind::kIntent, key_of(container_)); }

Status VolumeIntent::finish_all(Store& store, Volumes& volumes) {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kIntent));
  Batch done;
  for (const auto& record : records) {
    if (!record.key.starts_with(kPrefix)) continue;
    auto intent = json::parse_object(record.document);
    if (!intent) {
      log::error("intent {} is damaged: {}", record.key, intent.error().message);
      continue;
    }
    for (const auto& text : json::strings_or_empty(*intent, "Volumes")) {
      VolumeName name(text);
      auto volume = volumes.get(name);
      // Held: the container came to be, or somebody else has taken the volume since.
      if (!volume || !(*volume)->anonymous() || !volumes.holders(name).empty()) continue;
      if (auto removed = volumes.remove(name); !removed)
        log::warn("volume {}: {}", name, removed.error().message);
    }
    done.erase(RecordKind::kIntent, record.key);
  }
  return store.commit(std::move(done));
}

}  // namespace holdfast
