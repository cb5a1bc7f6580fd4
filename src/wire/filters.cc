#include "wire/filters.h"

#include "base/json.h"

namespace holdfast::wire {
namespace {

tl::unexpected<Error> invalid_value(std::string_view key) {
  return fail(Code::kInvalidArgument,
              "invalid filter: values of \"{}\" are neither a list nor a map", key);
}

Status add_values(std::string_view key, const json::Value& values, Filters& filters) {
  if (values.is_object()) {
    for (const auto& [value, wanted] : values.get_object()) {
      if (!wanted.is_bool()) return invalid_value(key);
      if (wanted.get_bool()) filters.emplace(key, value);
    }
    return {};
  }
  if (!values.is_array()) return invalid_value(key);
  for (const auto& value : values.get_array()) {
    if (!value.is_string()) return invalid_value(key);
    filters.emplace(key, value.get_string());
  }
  return {};
}

}  // namespace

std::string encode_filters(const Filters& filters) {
  if (filters.empty()) return {};
  json::Object object;
  for (const auto& [key, value] : filters) {
    json::Value& values = object[key];
    if (!values.is_object()) values.emplace_object();
    values.get_object()[value] = true;
  }
  return json::serialize(object);
}

Result<Filters> decode_filters(std::string_view text) {
  Filters filters;
  if (text.empty() || text == "null") return filters;
  ASSIGN_OR_RETURN(auto object, json::parse_object(text).map_error([](Error error) {
    return std::move(error).wrap("invalid filter");
  }));
  for (const auto& [key, values] : object) {
    if (values.is_null()) continue;
    RETURN_IF_ERROR(add_values(key, values, filters));
  }
  return filters;
}

}  // namespace holdfast::wire
