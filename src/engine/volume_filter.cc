#include "engine/volume_filter.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace holdfast {
namespace {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

// Docker prints the values as Go prints a list.
tl::unexpected<Error> invalid_filter(std::string_view key, const Strings& values) {
  return fail(Code::kInvalidArgument, "invalid filter '{}=[{}]'", key, fmt::join(values, " "));
}

// As strconv.ParseBool reads it. Values that contradict each other are none.
Result<bool> truth(std::string_view key, const Strings& values) {
  bool yes = false, no = false;
  for (const auto& value : values) {
    if (value == "1" || value == "t" || value == "T" || value == "true" || value == "TRUE" ||
        value == "True") {
      yes = true;
    } else if (value == "0" || value == "f" || value == "F" || value == "false" ||
               value == "FALSE" || value == "False") {
      no = true;
    } else {
      return invalid_filter(key, values);
    }
  }
  if (yes == no) return invalid_filter(key, values);
  return yes;
}

// "name" or "name=value".
bool has_pair(const StringMap& map, const std::string& wanted) {
  auto equals = wanted.find('=');
  auto found = map.find(wanted.substr(0, equals));
  if (found == map.end()) return false;
  return equals == std::string::npos || found->second == wanted.substr(equals + 1);
}

bool contains(const std::optional<Strings>& wanted, const std::string& value) {
  return !wanted || std::find(wanted->begin(), wanted->end(), value) != wanted->end();
}

std::map<std::string, Strings> by_key(const std::multimap<std::string, std::string>& filters) {
  std::map<std::string, Strings> values;
  for (const auto& [key, value] : filters) values[key].push_back(value);
  return values;
}

Result<Time> moment(std::string_view key, const Strings& values) {
  if (values.size() > 1)
    return fail(Code::kInvalidArgument, "more than one {} filter specified", key);
  auto time = parse_moment(values[0], now());
  if (!time) return invalid_filter(key, values);
  return *time;
}

}  // namespace

Status VolumeFilter::take(const std::string& key, const Strings& values, const Volumes& volumes) {
  if (key == "dangling" || key == "anonymous") {
    ASSIGN_OR_RETURN((key == "dangling" ? dangling_ : anonymous_), truth(key, values));
  } else if (key == "driver") {
    drivers_ = values;
  } else if (key == "opt") {
    options_ = values;
  } else if (key == "scope") {
    for (const auto& value : values)
      if (value != "local" && value != "global") return invalid_filter(key, values);
    scopes_ = values;
  } else if (key == "name") {
    for (const auto& value : values) names_.emplace_back(value);
  } else if (key == "label") {
    labels_ = values;
  } else if (key == "label!") {
    unwanted_labels_ = values;
  } else if (key == "until") {
    ASSIGN_OR_RETURN(until_, moment(key, values));
  } else if (key == "since" || key == "after") {
    for (const auto& value : values) {
      ASSIGN_OR_RETURN(auto volume, volumes.get(VolumeName(value)));
      since_ = std::max(since_.value_or(volume->created), volume->created);
    }
  } else {
    return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
  }
  return {};
}

Result<VolumeFilter> VolumeFilter::for_listing(
    const std::multimap<std::string, std::string>& filters, const Volumes& volumes) {
  VolumeFilter filter;
  for (const auto& [key, values] : by_key(filters))
    RETURN_IF_ERROR(filter.take(key, values, volumes));
  return filter;
}

Result<VolumeFilter> VolumeFilter::for_pruning(
    const std::multimap<std::string, std::string>& filters, const std::string& api_version,
    const Volumes& volumes) {
  VolumeFilter filter;
  bool all = api_version.size() == 4 && api_version < "1.42";
  for (const auto& [key, values] : by_key(filters)) {
    if (key == "all") {
      ASSIGN_OR_RETURN(all, truth(key, values));
    } else {
      RETURN_IF_ERROR(filter.take(key, values, volumes));
    }
  }
  // anonymous=false alone can't ask for named ones: they go by `all` only.
  if (!all && !filter.anonymous_) filter.anonymous_ = true;
  if (!all && !*filter.anonymous_)
    return fail(Code::kInvalidArgument,
                "invalid filter 'anonymous=[false]': named volumes are pruned with all=true only");
  return filter;
}

bool VolumeFilter::matches_labels(const Volume& volume) const {
  auto has = [&](const std::string& wanted) { return has_pair(volume.labels, wanted); };
  return std::all_of(labels_.begin(), labels_.end(), has) &&
         std::none_of(unwanted_labels_.begin(), unwanted_labels_.end(), has);
}

bool VolumeFilter::matches(const Volume& volume, bool in_use, const std::string& scope) const {
  if (dangling_ && *dangling_ == in_use) return false;
  if (anonymous_ && *anonymous_ != volume.anonymous()) return false;
  if (!contains(drivers_, volume.driver) || !contains(scopes_, scope)) return false;
  if (until_ && volume.created >= *until_) return false;
  if (since_ && volume.created <= *since_) return false;
  if (!names_.empty() && std::none_of(names_.begin(), names_.end(), [&](const auto& pattern) {
        return pattern.matches(volume.name.str());
      }))
    return false;
  if (options_ && std::none_of(options_->begin(), options_->end(), [&](const auto& wanted) {
        return has_pair(volume.options, wanted);
      }))
    return false;
  return matches_labels(volume);
}

}  // namespace holdfast
