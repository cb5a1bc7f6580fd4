#pragma once

#include <boost/json.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// Boost.JSON without exceptions, and readers that take what is there or a default.
namespace holdfast::json {

using Array = boost::json::array;
using Object = boost::json::object;
using Value = boost::json::value;

// Parses exactly one document, at most 64 levels deep; kInvalidArgument says at which byte it went
// wrong.
Result<Value> parse(std::string_view text);
Result<Object> parse_object(std::string_view text);

std::string serialize(const Value& value);

// A string as JSON writes it, quotes included, at the end of `out`: for text that is built by hand
// because there is a lot of it.
void append_quoted(std::string& out, std::string_view text);

// The member `key`, or nullptr when it is absent or null. Keys match exactly, then without regard
// to case as Go's decoder does.
const Value* find(const Object& object, std::string_view key);

// The member as the type asked for. Absent or null: the default; another type: kInvalidArgument
// naming the key.
Result<std::string> get_string(const Object& object, std::string_view key,
                               std::string_view fallback = {});
Result<std::int64_t> get_int(const Object& object, std::string_view key, std::int64_t fallback = 0);
Result<bool> get_bool(const Object& object, std::string_view key, bool fallback = false);
Result<std::vector<std::string>> get_strings(const Object& object, std::string_view key);
Result<Object> get_object(const Object& object, std::string_view key);
Result<Array> get_array(const Object& object, std::string_view key);
Result<std::map<std::string, std::string>> get_string_map(const Object& object,
                                                          std::string_view key);

// The same for records we wrote ourselves: another type counts as absent.
std::string string_or(const Object& object, std::string_view key, std::string_view fallback = {});
std::int64_t int_or(const Object& object, std::string_view key, std::int64_t fallback = 0);
bool bool_or(const Object& object, std::string_view key, bool fallback = false);
const Object& object_or_empty(const Object& object, std::string_view key);
const Array& array_or_empty(const Object& object, std::string_view key);

Array from_strings(const std::vector<std::string>& strings);
Object from_string_map(const std::map<std::string, std::string>& map);
std::vector<std::string> strings_or_empty(const Object& object, std::string_view key);
std::map<std::string, std::string> string_map_or_empty(const Object& object, std::string_view key);

}  // namespace holdfast::json
