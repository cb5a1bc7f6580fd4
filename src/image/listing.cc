#include <algorithm>

#include "image/filters.h"
#include "image/images_impl.h"

namespace holdfast::image {
namespace {

std::int64_t unix_seconds(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

struct Names {
  json::Array tags;
  json::Array digests;
};

// The names of an image that a reference filter lets through.
Names names_of(const std::vector<Reference>& references, const ListSelection& selection) {
  Names names;
  for (const auto& reference : references) {
    bool wanted = selection.patterns.empty() ||
                  std::any_of(selection.patterns.begin(), selection.patterns.end(),
                              [&](const std::string& p) { return matches(reference, p); });
    if (!wanted) continue;
    auto& list = reference.digest().empty() ? names.tags : names.digests;
    list.emplace_back(reference.familiar());
  }
  return names;
}

json::Object summary(const ImageRecord& record, Names names) {
  const auto& config = json::object_or_empty(record.config, "config");
  const json::Value* labels = json::find(config, "Labels");
  return {{"Containers", -1},
          {"Created", unix_seconds(record.created())},
          {"Id", record.id.str()},
          {"Labels", labels ? *labels : json::Value(nullptr)},
          {"ParentId", record.parent.str()},
          {"RepoDigests", std::move(names.digests)},
          {"RepoTags", std::move(names.tags)},
          {"SharedSize", -1},
          {"Size", record.size}};
}

// The members of an image's container config that are part of the image specification, as API 1.50
// shows them.
json::Object visible_config(const json::Object& image) {
  static constexpr std::string_view kKeys[] = {
      "User",       "ExposedPorts", "Env",     "Cmd",    "Healthcheck", "ArgsEscaped", "Volumes",
      "WorkingDir", "Entrypoint",   "OnBuild", "Labels", "StopSignal",  "Shell"};
  const auto& config = json::object_or_empty(image, "config");
  json::Object visible;
  for (auto key : kKeys) {
    const json::Value* value = json::find(config, key);
    if (value) visible[key] = *value;
  }
  for (auto key : {"Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes"})
    visible.emplace(key, nullptr);
  visible.emplace("User", "");
  visible.emplace("WorkingDir", "");
  return visible;
}

json::Object graph_driver(const std::vector<std::string>& paths) {
  json::Object data;
  if (!paths.empty()) {
    std::vector<std::string> lower(paths.begin() + 1, paths.end());
    if (!lower.empty()) data["LowerDir"] = fmt::format("{}", fmt::join(lower, ":"));
    data["UpperDir"] = paths.front();
  }
  return {{"Data", std::move(data)}, {"Name", "overlay2"}};
}

bool passes(const ImageRecord& record, const ListSelection& selection) {
  if (selection.until && record.created() >= *selection.until) return false;
  return selection.labels.matches(
      json::string_map_or_empty(json::object_or_empty(record.config, "config"), "Labels"));
}

}  // namespace

Result<json::Array> Images::list(const Filters& filters, bool all) const {
  ASSIGN_OR_RETURN(auto selection, ListSelection::parse(filters));
  std::lock_guard lock(impl_->mutex);
  std::optional<Time> before;
  std::optional<Time> since;
  for (const auto& text : selection.before) {
    ASSIGN_OR_RETURN(auto id, impl_->resolve(text));
    before = impl_->images.at(id).record.created();
  }
  for (const auto& text : selection.since) {
    ASSIGN_OR_RETURN(auto id, impl_->resolve(text));
    since = impl_->images.at(id).record.created();
  }
  std::set<ImageId> parents;
  for (const auto& [id, known] : impl_->images) parents.insert(known.record.parent);
  std::vector<std::pair<Time, json::Object>> found;
  for (const auto& [id, known] : impl_->images) {
    const auto& record = known.record;
    if ((before && record.created() >= *before) || (since && record.created() <= *since)) continue;
    if (!passes(record, selection)) continue;
    auto references = impl_->references_of(id);
    auto names = names_of(references, selection);
    if (!selection.patterns.empty() && names.tags.empty() && names.digests.empty()) continue;
    bool dangling = std::none_of(references.begin(), references.end(),
                                 [](const Reference& r) { return r.digest().empty(); });
    if (selection.dangling && *selection.dangling != dangling) continue;
    // Without names and with children it is a step on the way to another image.
    if (references.empty() && parents.contains(id) && !all) continue;
    found.emplace_back(record.created(), summary(record, std::move(names)));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  json::Array array;
  for (auto& [created, object] : found) array.push_back(std::move(object));
  return array;
}

Result<json::Object> Images::inspect(std::string_view text) const {
  ASSIGN_OR_RETURN(auto image, find(text));
  ASSIGN_OR_RETURN(auto paths, layer_paths(image.id));
  const auto& config = image.config;
  std::lock_guard lock(impl_->mutex);
  auto known = impl_->images.find(image.id);
  Time tagged = known == impl_->images.end() ? Time() : known->second.record.last_tagged;
  json::Object result{{"Id", image.id.str()},
                      {"RepoTags", json::from_strings(image.repo_tags)},
                      {"RepoDigests", json::from_strings(image.repo_digests)},
                      {"Parent", image.parent.str()},
                      {"Comment", json::string_or(config, "comment")},
                      {"Created", json::string_or(config, "created", to_rfc3339(Time()))},
                      {"DockerVersion", json::string_or(config, "docker_version")},
                      {"Author", json::string_or(config, "author")},
                      {"Config", visible_config(config)},
                      {"Architecture", json::string_or(config, "architecture")},
                      {"Os", json::string_or(config, "os")},
                      {"Size", image.size},
                      {"GraphDriver", graph_driver(paths)},
                      {"Metadata", json::Object{{"LastTagTime", to_rfc3339(tagged)}}}};
  std::string variant = json::string_or(config, "variant");
  if (!variant.empty()) result["Variant"] = variant;
  auto diffs = json::strings_or_empty(json::object_or_empty(config, "rootfs"), "diff_ids");
  result["RootFS"] = json::Object{{"Type", "layers"}, {"Layers", json::from_strings(diffs)}};
  return result;
}

Result<json::Array> Images::history(std::string_view text) const {
  std::lock_guard lock(impl_->mutex);
  ASSIGN_OR_RETURN(auto id, impl_->resolve(text));
  const auto& record = impl_->images.at(id).record;
  json::Array steps;  // oldest first
  std::size_t layer = 0;
  for (const auto& value : json::array_or_empty(record.config, "history")) {
    if (!value.is_object()) continue;
    const auto& step = value.get_object();
    std::uint64_t size = 0;
    if (!json::bool_or(step, "empty_layer") && layer < record.layers.size()) {
      auto known = impl_->layers->find(record.layers[layer++].chain);
      if (known) size = known->size;
    }
    auto created = parse_rfc3339(json::string_or(step, "created")).value_or(Time());
    steps.push_back(json::Object{{"Comment", json::string_or(step, "comment")},
                                 {"Created", unix_seconds(created)},
                                 {"CreatedBy", json::string_or(step, "created_by")},
                                 {"Id", "<missing>"},
                                 {"Size", size},
                                 {"Tags", nullptr}});
  }
  std::reverse(steps.begin(), steps.end());
  if (steps.empty()) return steps;
  // The image itself, and those it was made from that are here.
  ImageId current = id;
  for (std::size_t at = 0; at < steps.size() && impl_->images.contains(current); ++at) {
    auto& step = steps[at].get_object();
    step["Id"] = current.str();
    json::Array tags;
    for (const auto& reference : impl_->references_of(current)) {
      if (reference.digest().empty()) tags.emplace_back(reference.familiar());
    }
    if (!tags.empty()) step["Tags"] = std::move(tags);
    current = impl_->images.at(current).record.parent;
  }
  return steps;
}

}  // namespace holdfast::image
