#include "base/json.h"

#include <algorithm>

#include "base/json_parse.h"

namespace holdfast::json {
namespace {

const Object kEmptyObject;
const Array kEmptyArray;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

tl::unexpected<Error> wrong_type(std::string_view key, std::string_view wanted,
                                 const Value& value) {
  return fail(Code::kInvalidArgument, "json: cannot unmarshal {} into field {} of type {}",
              boost::json::to_string(value.kind()), key, wanted);
}

Result<Value> parse_into(std::string_view text, const boost::json::storage_ptr& memory) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::stream_parser parser(memory, options);
  parser.reset(memory);
  boost::system::error_code error;
  std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos) {
    return fail(Code::kInvalidArgument,
                "invalid JSON: unexpected content after the document at byte {}", used);
  }
  if (!error) parser.finish(error);
  if (error)
    return fail(Code::kInvalidArgument, "invalid JSON: {} at byte {}", error.message(), used);
  return parser.release();
}

Result<Object> object_of(Result<Value> value) {
  if (!value) return tl::unexpected(std::move(value).error());
  if (!value->is_object()) return fail(Code::kInvalidArgument, "invalid JSON: not an object");
  return std::move(value->get_object());
}

}  // namespace

Result<Value> parse(std::string_view text) { return parse_into(text, {}); }

Result<Object> parse_object(std::string_view text) { return object_of(parse(text)); }

Result<Object> parse_object_in(const boost::json::storage_ptr& memory, std::string_view text) {
  return object_of(parse_into(text, memory));
}

std::string serialize(const Value& value) { return boost::json::serialize(value); }

void append_quoted(std::string& out, std::string_view text) {
  auto plain = [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
  };
  out += '"';
  while (true) {
    auto end = std::find_if_not(text.begin(), text.end(), plain);
    out.append(text.begin(), end);
    if (end == text.end()) break;
    if (*end == '"' || *end == '\\') {
      out += '\\';
      out += *end;
    } else {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(*end));
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.begin()) + 1);
  }
  out += '"';
}

const Value* find(const Object& object, std::string_view key) {
  const Value* value = object.if_contains(key);
  if (!value) {
    auto entry = std::find_if(object.begin(), object.end(), [&](const auto& pair) {
      return same_ignoring_case(pair.key(), key);
    });
    if (entry != object.end()) value = &entry->value();
  }
  return value && !value->is_null() ? value : nullptr;
}

Result<std::string> get_string(const Object& object, std::string_view key,
                               std::string_view fallback) {
  const Value* value = find(object, key);
  if (!value) return std::string(fallback);
  if (!value->is_string()) return wrong_type(key, "string", *value);
  return std::string(value->get_string());
}

Result<std::int64_t> get_int(const Object& object, std::string_view key, std::int64_t fallback) {
  const Value* value = find(object, key);
  if (!value) return fallback;
  boost::system::error_code error;
  auto number = value->to_number<std::int64_t>(error);
  if (error) return wrong_type(key, "int64", *value);
  return number;
}

Result<bool> get_bool(const Object& object, std::string_view key, bool fallback) {
  const Value* value = find(object, key);
  if (!value) return fallback;
  if (!value->is_bool()) return wrong_type(key, "bool", *value);
  return value->get_bool();
}

Result<std::vector<std::string>> get_strings(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  std::vector<std::string> result;
  if (!value) return result;
  if (value->is_string()) return std::vector<std::string>{std::string(value->get_string())};
  if (!value->is_array()) return wrong_type(key, "[]string", *value);
  for (const Value& item : value->get_array()) {
    if (!item.is_string()) return wrong_type(key, "string", item);
    result.emplace_back(item.get_string());
  }
  return result;
}

Result<Object> get_object(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return Object{};
  if (!value->is_object()) return wrong_type(key, "object", *value);
  return value->get_object();
}

Result<Array> get_array(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  if (!value) return Array{};
  if (!value->is_array()) return wrong_type(key, "array", *value);
  return value->get_array();
}

Result<std::map<std::string, std::string>> get_string_map(const Object& object,
                                                          std::string_view key) {
  ASSIGN_OR_RETURN(auto members, get_object(object, key));
  std::map<std::string, std::string> result;
  for (const auto& [name, value] : members) {
    if (value.is_null()) {
      result.emplace(name, "");
      continue;
    }
    if (!value.is_string())
      return wrong_type(fmt::format("{}.{}", key, std::string_view(name)), "string", value);
    result.emplace(name, std::string(value.get_string()));
  }
  return result;
}

std::string string_or(const Object& object, std::string_view key, std::string_view fallback) {
  return get_string(object, key, fallback).value_or(std::string(fallback));
}

std::int64_t int_or(const Object& object, std::string_view key, std::int64_t fallback) {
  return get_int(object, key, fallback).value_or(fallback);
}

bool bool_or(const Object& object, std::string_view key, bool fallback) {
  return get_bool(object, key, fallback).value_or(fallback);
}

const Object& object_or_empty(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  return value && value->is_object() ? value->get_object() : kEmptyObject;
}

const Array& array_or_empty(const Object& object, std::string_view key) {
  const Value* value = find(object, key);
  return value && value->is_array() ? value->get_array() : kEmptyArray;
}

Array from_strings(const std::vector<std::string>& strings) {
  Array array;
  for (const auto& text : strings) array.emplace_back(text);
  return array;
}

Object from_string_map(const std::map<std::string, std::string>& map) {
  Object object;
  for (const auto& [key, value] : map) object[key] = value;
  return object;
}

std::vector<std::string> strings_or_empty(const Object& object, std::string_view key) {
  return get_strings(object, key).value_or(std::vector<std::string>{});
}

std::map<std::string, std::string> string_map_or_empty(const Object& object, std::string_view key) {
  return get_string_map(object, key).value_or(std::map<std::string, std::string>{});
}

}  // namespace holdfast::json
