#include "engine/engine_impl.h"
#include "engine/volume_filter.h"
#include "engine/volume_holders.h"
#include "engine/volume_json.h"

// Looking at volumes: listings, inspect, and what a prune would do.
namespace holdfast {
namespace {

using std::chrono::milliseconds;

// What inspect waits for a size, and less where an older count is there; what takes longer is known
// the next time.
constexpr milliseconds kPatience(180);
constexpr milliseconds kPatienceForNews(20);
constexpr std::size_t kUsualTextSize = 256;

std::int64_t size_or_unknown(const std::optional<std::uint64_t>& size) {
  return size ? static_cast<std::int64_t>(*size) : -1;
}

json::Object usage_json(const std::optional<std::uint64_t>& size, std::size_t holders) {
  return json::Object{{"Size", size_or_unknown(size)}, {"RefCount", holders}};
}

json::Value time_or_null(Time time) {
  return time == Time{} ? json::Value() : json::Value(to_rfc3339(time));
}

using Sizes = std::vector<std::optional<std::uint64_t>>;

Sizes sizes_of(Volumes& volumes, const std::vector<Volumes::Listed>& listed, milliseconds budget) {
  std::vector<VolumeName> names;
  names.reserve(listed.size());
  for (const auto& one : listed) names.push_back(one.volume->name);
  return volumes.sizes(names, budget);
}

// {"Volumes":[…],"Warnings":…} as text; `more` adds members to a volume that ends with '}'.
std::string listing_text(const Volumes::Listing& all,
                         const std::function<void(std::string&, std::size_t)>& more) {
  std::string text = "{\"Volumes\":[";
  text.reserve(all.volumes.size() * kUsualTextSize);
  for (std::size_t i = 0; i < all.volumes.size(); ++i) {
    if (i > 0) text += ',';
    const auto& volume = *all.volumes[i].volume;
    append_volume_json(text, volume, all.scope_of(volume));
    if (!more) continue;
    text.pop_back();
    more(text, i);
    text += '}';
  }
  text += "],\"Warnings\":";
  text += all.warnings.empty() ? "null" : json::serialize(json::from_strings(all.warnings));
  text += "}\n";
  return text;
}

Result<Volumes::Listing> filtered(Volumes& volumes, const FilterMap& filters) {
  ASSIGN_OR_RETURN(auto filter, VolumeFilter::for_listing(filters, volumes));
  auto all = volumes.list_all();
  std::erase_if(all.volumes, [&](const Volumes::Listed& one) {
    return !filter.matches(*one.volume, one.holders > 0, all.scope_of(*one.volume));
  });
  return all;
}

}  // namespace

Result<std::string> Engine::list_volumes(const FilterMap& filters) const {
  ASSIGN_OR_RETURN(auto all, filtered(impl_->parts.volumes, filters));
  return listing_text(all, {});
}

Result<std::string> Engine::list_volumes_in_detail(const FilterMap& filters,
                                                   std::optional<milliseconds> size_budget) const {
  auto& volumes = impl_->parts.volumes;
  ASSIGN_OR_RETURN(auto all, filtered(volumes, filters));
  Sizes sizes(all.volumes.size());
  if (size_budget) sizes = sizes_of(volumes, all.volumes, *size_budget);
  return listing_text(all, [&](std::string& text, std::size_t i) {
    const auto& [volume, holders, last_used] = all.volumes[i];
    text += fmt::format(",\"Anonymous\":{},\"UsageData\":{{\"Size\":{},\"RefCount\":{}}}",
                        volume->anonymous(), size_or_unknown(sizes[i]), holders);
    text += ",\"LastUsed\":";
    text += last_used == Time{} ? "null" : fmt::format("\"{}\"", to_rfc3339(last_used));
  });
}

// Storage and the driver say what they know without waiting for what hangs.
Result<json::Object> Engine::inspect_volume(const std::string& name) const {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto look, impl.parts.volumes.look(VolumeName(name)));
  const auto& volume = *look.volume;
  auto out = volume_json(volume, look.sight.scope);
  out["Mountpoint"] = look.sight.mountpoint;
  auto size = impl.parts.volumes.size(volume.name, kPatienceForNews);
  if (!size) size = impl.parts.volumes.size(volume.name, kPatience);
  out["UsageData"] = usage_json(size, look.holders.size());
  auto& status = look.sight.status;
  if (!look.problem.empty()) status["Error"] = look.problem;
  status["Holders"] = holders_json(impl.table, look.holders, volume.name);
  status["LastUsed"] = time_or_null(look.last_used);
  out["Status"] = std::move(status);
  return out;
}

Result<json::Object> Engine::preview_volume_prune(const FilterMap& filters,
                                                  const std::string& api_version,
                                                  milliseconds size_budget) const {
  auto& volumes = impl_->parts.volumes;
  ASSIGN_OR_RETURN(auto filter, VolumeFilter::for_pruning(filters, api_version, volumes));
  auto going = volumes.prune_candidates(
      [&](const Volume& volume) { return filter.matches(volume, false, "local"); });
  auto sizes = sizes_of(volumes, going, size_budget);
  json::Array list;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < going.size(); ++i) {
    auto entry = volume_json(*going[i].volume);
    entry["Anonymous"] = going[i].volume->anonymous();
    entry["UsageData"] = usage_json(sizes[i], 0);
    entry["LastUsed"] = time_or_null(going[i].last_used);
    total += sizes[i].value_or(0);
    list.push_back(std::move(entry));
  }
  return json::Object{{"Volumes", std::move(list)}, {"SpaceReclaimable", total}};
}

}  // namespace holdfast
