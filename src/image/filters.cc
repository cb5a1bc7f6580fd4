#include "image/filters.h"

#include <algorithm>

namespace holdfast::image {
namespace {

Result<bool> parse_flag(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1" || value == "TRUE" || value == "True") return true;
  if (value == "false" || value == "0" || value == "FALSE" || value == "False") return false;
  return fail(Code::kInvalidArgument, "invalid filter '{}=[{}]'", key, value);
}

Result<Time> parse_until(const std::string& value) {
  auto moment = parse_moment(value, now());
  if (!moment) return fail(Code::kInvalidArgument, "invalid filter 'until=[{}]'", value);
  return *moment;
}

bool has_label(const std::map<std::string, std::string>& labels, const std::string& text) {
  auto equals = text.find('=');
  auto label = labels.find(text.substr(0, equals));
  if (label == labels.end()) return false;
  return equals == std::string::npos || label->second == text.substr(equals + 1);
}

}  // namespace

bool LabelSelection::matches(const std::map<std::string, std::string>& labels) const {
  auto has = [&](const std::string& text) { return has_label(labels, text); };
  return std::all_of(wanted.begin(), wanted.end(), has) &&
         std::none_of(unwanted.begin(), unwanted.end(), has);
}

Result<PruneSelection> PruneSelection::parse(const Filters& filters) {
  PruneSelection selection;
  for (const auto& [key, value] : filters) {
    if (key == "dangling") {
      ASSIGN_OR_RETURN(selection.dangling_only, parse_flag(key, value));
    } else if (key == "until") {
      ASSIGN_OR_RETURN(selection.until, parse_until(value));
    } else if (key == "label") {
      selection.labels.wanted.push_back(value);
    } else if (key == "label!") {
      selection.labels.unwanted.push_back(value);
    } else {
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
  }
  return selection;
}

bool PruneSelection::matches(const ImageRecord& record) const {
  if (until && record.created() >= *until) return false;
  return labels.matches(
      json::string_map_or_empty(json::object_or_empty(record.config, "config"), "Labels"));
}

Result<ListSelection> ListSelection::parse(const Filters& filters) {
  ListSelection selection;
  for (const auto& [key, value] : filters) {
    if (key == "dangling") {
      ASSIGN_OR_RETURN(selection.dangling, parse_flag(key, value));
    } else if (key == "until") {
      ASSIGN_OR_RETURN(selection.until, parse_until(value));
    } else if (key == "label") {
      selection.labels.wanted.push_back(value);
    } else if (key == "label!") {
      selection.labels.unwanted.push_back(value);
    } else if (key == "reference") {
      selection.patterns.push_back(value);
    } else if (key == "before") {
      selection.before.push_back(value);
    } else if (key == "since") {
      selection.since.push_back(value);
    } else {
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
  }
  return selection;
}

}  // namespace holdfast::image
