#include "client/template/functions.h"

#include <algorithm>
#include <array>

namespace holdfast::client {
namespace {

using Arguments = std::vector<json::Value>;

// The API's members that are maps in Go; other objects are structs, which print without keys.
constexpr std::array<std::string_view, 26> kMaps = {
    "Labels",           "Options",      "Volumes",
    "ExposedPorts",     "Ports",        "PortBindings",
    "Networks",         "Sysctls",      "Tmpfs",
    "StorageOpt",       "Config",       "Annotations",
    "DriverOpts",       "Containers",   "Data",
    "Status",           "Attributes",   "Details",
    "ConfigReferences", "Secondary",    "AuxiliaryAddresses",
    "Runtimes",         "IndexConfigs", "Spec",
    "Storage",          "Metadata"};
// Members that are pointers to structs or scalars: null prints as <nil>, not as an empty list.
constexpr std::array<std::string_view, 11> kPointers = {
    "OomKillDisable",   "PidsLimit", "Health",     "Healthcheck",
    "MemorySwappiness", "Init",      "IPAMConfig", "UsageData",
    "StopTimeout",      "Swarm",     "RootFS"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string null_text(std::string_view name) {
  if (name.empty() || contains(kPointers, name)) return "<nil>";
  return contains(kMaps, name) ? "map[]" : "[]";
}

// The "Mounts" of a container leave out what is empty; Go prints every member.
json::Object full_mount(const json::Object& mount) {
  json::Object full;
  for (std::string_view key :
       {"Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation"}) {
    const json::Value* value = json::find(mount, key);
    full[key] = value ? *value : json::Value("");
  }
  return full;
}

std::string object_text(const json::Object& object, std::string_view name) {
  std::vector<std::string> parts;
  bool is_map = name.empty() || contains(kMaps, name);
  for (const auto& [key, value] : object) {
    std::string text = template_text(value, std::string_view(key));
    parts.push_back(is_map ? fmt::format("{}:{}", std::string_view(key), text) : text);
  }
  if (!is_map) return fmt::format("{{{}}}", fmt::join(parts, " "));
  std::sort(parts.begin(), parts.end());
  return fmt::format("map[{}]", fmt::join(parts, " "));
}

tl::unexpected<Error> wrong_arguments(std::string_view name, std::size_t wanted, std::size_t got) {
  return fail(Code::kInvalidArgument, "wrong number of args for {}: want {} got {}", name, wanted,
              got);
}

Result<std::string> string_argument(std::string_view function, const json::Value& value) {
  if (value.is_string()) return std::string(value.get_string());
  return fail(Code::kInvalidArgument, "wrong type for value of {}; expected string", function);
}

Result<json::Value> json_text(const Arguments& arguments) {
  if (arguments.size() != 1) return wrong_arguments("json", 1, arguments.size());
  return json::Value(json::serialize(arguments[0]));
}

template <char (*change)(char)>
Result<json::Value> map_letters(const Arguments& arguments) {
  if (arguments.size() != 1) return wrong_arguments("upper or lower", 1, arguments.size());
  ASSIGN_OR_RETURN(auto text, string_argument("upper or lower", arguments[0]));
  std::transform(text.begin(), text.end(), text.begin(), change);
  return json::Value(text);
}
char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

Result<json::Value> title(const Arguments& arguments) {
  if (arguments.size() != 1) return wrong_arguments("title", 1, arguments.size());
  ASSIGN_OR_RETURN(auto text, string_argument("title", arguments[0]));
  for (std::size_t i = 0; i < text.size(); ++i)
    if (i == 0 || text[i - 1] == ' ') text[i] = to_upper(text[i]);
  return json::Value(text);
}

Result<json::Value> join(const Arguments& arguments) {
  if (arguments.size() != 2) return wrong_arguments("join", 2, arguments.size());
  ASSIGN_OR_RETURN(auto separator, string_argument("join", arguments[1]));
  if (arguments[0].is_null()) return json::Value("");
  if (!arguments[0].is_array())
    return fail(Code::kInvalidArgument, "wrong type for value of join; expected []string");
  std::vector<std::string> parts;
  for (const auto& value : arguments[0].get_array()) parts.push_back(template_text(value));
  return json::Value(fmt::format("{}", fmt::join(parts, separator)));
}

Result<json::Value> split(const Arguments& arguments) {
  if (arguments.size() != 2) return wrong_arguments("split", 2, arguments.size());
  ASSIGN_OR_RETURN(auto text, string_argument("split", arguments[0]));
  ASSIGN_OR_RETURN(auto separator, string_argument("split", arguments[1]));
  json::Array parts;
  std::string_view rest = text;
  while (!separator.empty()) {
    auto at = rest.find(separator);
    parts.emplace_back(rest.substr(0, at));
    if (at == std::string_view::npos) return json::Value(parts);
    rest.remove_prefix(at + separator.size());
  }
  for (char c : text) parts.emplace_back(std::string(1, c));
  return json::Value(parts);
}

Result<json::Value> pad(const Arguments& arguments) {
  if (arguments.size() != 3) return wrong_arguments("pad", 3, arguments.size());
  ASSIGN_OR_RETURN(auto text, string_argument("pad", arguments[0]));
  if (!arguments[1].is_int64() || !arguments[2].is_int64())
    return fail(Code::kInvalidArgument, "wrong type for value of pad; expected int");
  if (text.empty()) return json::Value(text);
  auto before = std::clamp<std::int64_t>(arguments[1].get_int64(), 0, 1000);
  auto after = std::clamp<std::int64_t>(arguments[2].get_int64(), 0, 1000);
  return json::Value(std::string(static_cast<std::size_t>(before), ' ') + text +
                     std::string(static_cast<std::size_t>(after), ' '));
}

Result<json::Value> truncate(const Arguments& arguments) {
  if (arguments.size() != 2) return wrong_arguments("truncate", 2, arguments.size());
  ASSIGN_OR_RETURN(auto text, string_argument("truncate", arguments[0]));
  if (!arguments[1].is_int64())
    return fail(Code::kInvalidArgument, "wrong type for value of truncate; expected int");
  auto length = static_cast<std::size_t>(std::max<std::int64_t>(arguments[1].get_int64(), 0));
  return json::Value(text.substr(0, std::min(length, text.size())));
}

Result<json::Value> length(const Arguments& arguments) {
  if (arguments.size() != 1) return wrong_arguments("len", 1, arguments.size());
  const json::Value& value = arguments[0];
  std::size_t size = 0;
  if (value.is_array())
    size = value.get_array().size();
  else if (value.is_object())
    size = value.get_object().size();
  else if (value.is_string())
    size = value.get_string().size();
  else if (!value.is_null())
    return fail(Code::kInvalidArgument, "error calling len: len of type {}",
                boost::json::to_string(value.kind()));
  return json::Value(static_cast<std::int64_t>(size));
}

Result<json::Value> index(const Arguments& arguments) {
  if (arguments.empty()) return wrong_arguments("index", 1, 0);
  json::Value value = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const json::Value& key = arguments[i];
    if (value.is_object() && key.is_string()) {
      const json::Value* found = value.get_object().if_contains(key.get_string());
      value = json::Value(found ? *found : json::Value(""));
    } else if (value.is_array() && key.is_int64()) {
      auto at = key.get_int64();
      if (at < 0 || at >= static_cast<std::int64_t>(value.get_array().size()))
        return fail(Code::kInvalidArgument,
                    "error calling index: reflect: slice index out of range");
      value = json::Value(value.get_array()[static_cast<std::size_t>(at)]);
    } else if (value.is_null() && key.is_string()) {
      value = "";
    } else if (value.is_null()) {
      return fail(Code::kInvalidArgument, "error calling index: index of untyped nil");
    } else {
      return fail(Code::kInvalidArgument, "error calling index: cannot index {} with {}",
                  boost::json::to_string(value.kind()), boost::json::to_string(key.kind()));
    }
  }
  return value;
}

Result<json::Value> slice(const Arguments& arguments) {
  if (arguments.empty() || arguments.size() > 3)
    return wrong_arguments("slice", 1, arguments.size());
  const json::Value& value = arguments[0];
  if (!value.is_string() && !value.is_array())
    return fail(Code::kInvalidArgument, "error calling slice: can't slice item of this type");
  std::size_t size = value.is_string() ? value.get_string().size() : value.get_array().size();
  std::array<std::size_t, 2> bounds = {0, size};
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (!arguments[i].is_int64() || arguments[i].get_int64() < 0 ||
        static_cast<std::size_t>(arguments[i].get_int64()) > size)
      return fail(Code::kInvalidArgument, "error calling slice: index out of range");
    bounds[i - 1] = static_cast<std::size_t>(arguments[i].get_int64());
  }
  if (bounds[0] > bounds[1])
    return fail(Code::kInvalidArgument, "error calling slice: invalid slice index");
  if (value.is_string())
    return json::Value(
        std::string_view(value.get_string()).substr(bounds[0], bounds[1] - bounds[0]));
  json::Array part;
  for (std::size_t i = bounds[0]; i < bounds[1]; ++i) part.push_back(value.get_array()[i]);
  return json::Value(part);
}

// Go's Print puts a space between two operands when neither is a string; Println always.
std::string print(const Arguments& arguments, bool always) {
  std::string out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    bool spaced = always || (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string());
    if (i > 0 && spaced) out += ' ';
    out += template_text(arguments[i]);
  }
  return out;
}

std::string quote(std::string_view text) {
  return boost::json::serialize(boost::json::value(text));
}

// One verb of printf: %[flags][width][.precision]verb.
std::string format_one(std::string_view flags, char verb, const json::Value& value) {
  bool left = flags.starts_with('-');
  bool zeros = flags.starts_with('0');
  auto dot = flags.find('.');
  std::string digits(flags.substr(0, dot));
  std::size_t width = digits.empty() || digits == "-"
                          ? 0
                          : static_cast<std::size_t>(std::abs(std::atoi(digits.c_str())));
  std::string text;
  boost::system::error_code error;
  if (verb == 'q' && value.is_string()) {
    text = quote(value.get_string());
  } else if ((verb == 'f' || verb == 'g' || verb == 'e') && value.is_number()) {
    int precision =
        dot == std::string_view::npos ? 6 : std::atoi(std::string(flags.substr(dot + 1)).c_str());
    double number = value.to_number<double>(error);
    text = verb == 'f' ? fmt::format("{:.{}f}", number, precision)
                       : fmt::format("{:.{}g}", number, precision);
  } else if (verb == 'x' && value.is_number()) {
    text = fmt::format("{:x}", value.to_number<std::int64_t>(error));
  } else if (verb == 'T') {
    text = std::string(std::string_view(boost::json::to_string(value.kind())));
  } else {
    text = template_text(value);
    if (verb == 's' && dot != std::string_view::npos)
      text = text.substr(
          0, static_cast<std::size_t>(std::atoi(std::string(flags.substr(dot + 1)).c_str())));
  }
  width = std::min<std::size_t>(width, 1000);
  if (text.size() >= width) return text;
  std::string fill(width - text.size(), zeros && !left ? '0' : ' ');
  return left ? text + fill : fill + text;
}

Result<json::Value> printf(const Arguments& arguments) {
  if (arguments.empty()) return wrong_arguments("printf", 1, 0);
  ASSIGN_OR_RETURN(auto format, string_argument("printf", arguments[0]));
  std::string out;
  std::size_t used = 1;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    std::size_t begin = ++i;
    while (i < format.size() &&
           std::string_view("+-# 0123456789.").find(format[i]) != std::string_view::npos)
      ++i;
    if (i == format.size()) {
      out += "%!(NOVERB)";
    } else if (format[i] == '%') {
      out += '%';
    } else if (used == arguments.size()) {
      out += fmt::format("%!{}(MISSING)", format[i]);
    } else {
      out += format_one(std::string_view(format).substr(begin, i - begin), format[i],
                        arguments[used++]);
    }
  }
  return json::Value(out);
}

// -1, 0, 1, or nullopt for values that have no order.
std::optional<int> compare(const json::Value& a, const json::Value& b) {
  auto sign = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : 0; };
  boost::system::error_code error;
  if (a.is_string() && b.is_string()) return sign(a.get_string(), b.get_string());
  if (a.is_number() && b.is_number())
    return sign(a.to_number<double>(error), b.to_number<double>(error));
  return std::nullopt;
}

Result<json::Value> equals(const Arguments& arguments) {
  if (arguments.size() < 2)
    return fail(Code::kInvalidArgument, "error calling eq: missing argument for comparison");
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    auto order = compare(arguments[0], arguments[i]);
    if (order ? *order == 0 : arguments[0] == arguments[i]) return json::Value(true);
    if (!order && arguments[0].kind() != arguments[i].kind() && !arguments[0].is_null() &&
        !arguments[i].is_null())
      return fail(Code::kInvalidArgument, "error calling eq: incompatible types for comparison");
  }
  return json::Value(false);
}

Result<json::Value> ordered(std::string_view name, const Arguments& arguments) {
  if (arguments.size() != 2) return wrong_arguments(name, 2, arguments.size());
  auto order = compare(arguments[0], arguments[1]);
  if (!order)
    return fail(Code::kInvalidArgument, "error calling {}: incompatible types for comparison",
                name);
  bool result = name == "lt"   ? *order < 0
                : name == "le" ? *order <= 0
                : name == "gt" ? *order > 0
                               : *order >= 0;
  return json::Value(result);
}

Result<json::Value> not_equals(const Arguments& arguments) {
  ASSIGN_OR_RETURN(auto same, equals(arguments));
  return json::Value(!same.get_bool());
}

Result<json::Value> negate(const Arguments& arguments) {
  if (arguments.size() != 1) return wrong_arguments("not", 1, arguments.size());
  return json::Value(!template_truth(arguments[0]));
}

struct Function {
  std::string_view name;
  Result<json::Value> (*call)(const Arguments&);
};

constexpr auto kFunctions = std::to_array<Function>({
    {"json", json_text},
    {"upper", map_letters<to_upper>},
    {"lower", map_letters<to_lower>},
    {"title", title},
    {"join", join},
    {"split", split},
    {"pad", pad},
    {"truncate", truncate},
    {"len", length},
    {"index", index},
    {"slice", slice},
    {"print",
     [](const Arguments& a) -> Result<json::Value> { return json::Value(print(a, false)); }},
    {"println",
     [](const Arguments& a) -> Result<json::Value> { return json::Value(print(a, true) + "\n"); }},
    {"printf", printf},
    {"eq", equals},
    {"ne", not_equals},
    {"lt", [](const Arguments& a) { return ordered("lt", a); }},
    {"le", [](const Arguments& a) { return ordered("le", a); }},
    {"gt", [](const Arguments& a) { return ordered("gt", a); }},
    {"ge", [](const Arguments& a) { return ordered("ge", a); }},
    {"not", negate},
});

const Function* find_function(std::string_view name) {
  auto found = std::find_if(kFunctions.begin(), kFunctions.end(),
                            [&](const Function& function) { return function.name == name; });
  return found == kFunctions.end() ? nullptr : &*found;
}

}  // namespace

bool template_function_exists(std::string_view name) {
  return name == "and" || name == "or" || find_function(name) != nullptr;
}

Result<json::Value> call_template_function(std::string_view name,
                                           const std::vector<json::Value>& arguments) {
  const Function* function = find_function(name);
  CHECK(function != nullptr);
  return function->call(arguments);
}

std::string template_text(const json::Value& value, std::string_view name) {
  if (value.is_null()) return null_text(name);
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_double()) return fmt::format("{:.6g}", value.get_double());
  if (value.is_object()) return object_text(value.get_object(), name);
  if (!value.is_array()) return json::serialize(value);
  std::vector<std::string> parts;
  for (const auto& item : value.get_array()) {
    bool is_mount = name == "Mounts" && item.is_object() && item.get_object().contains("RW");
    parts.push_back(is_mount ? object_text(full_mount(item.get_object()), "struct")
                             : template_text(item, item.is_object() ? "struct" : ""));
  }
  return fmt::format("[{}]", fmt::join(parts, " "));
}

bool template_truth(const json::Value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return false;
    case boost::json::kind::bool_:
      return value.get_bool();
    case boost::json::kind::int64:
      return value.get_int64() != 0;
    case boost::json::kind::uint64:
      return value.get_uint64() != 0;
    case boost::json::kind::double_:
      return value.get_double() != 0;
    case boost::json::kind::string:
      return !value.get_string().empty();
    case boost::json::kind::array:
      return !value.get_array().empty();
    case boost::json::kind::object:
      return !value.get_object().empty();
  }
  return false;
}

}  // namespace holdfast::client
