#include "client/run/value_specs.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <set>

#include "base/file.h"
#include "base/size_text.h"
#include "base/text.h"
#include "client/flags.h"

namespace holdfast::client {
namespace {

template <typename... Args>
tl::unexpected<Error> invalid(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kInvalidArgument, format, std::forward<Args>(args)...);
}

bool is_address(std::string_view text) {
  unsigned char bytes[16];
  std::string copy(text);
  return ::inet_pton(AF_INET, copy.c_str(), bytes) == 1 ||
         ::inet_pton(AF_INET6, copy.c_str(), bytes) == 1;
}

bool is_device_mode(std::string_view text) {
  std::string seen;
  for (char c : text) {
    if (std::string_view("rwm").find(c) == std::string_view::npos) return false;
    if (seen.find(c) != std::string::npos) return false;
    seen += c;
  }
  return !text.empty();
}

// "1.25" in billionths, without the rounding of floating point.
Result<std::int64_t> decimal_billionths(std::string_view text, std::string_view whole) {
  auto bad = [&] { return invalid("failed to parse {} as a rational number", whole); };
  auto dot = text.find('.');
  auto integer = text.substr(0, dot);
  auto fraction = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  if (integer.empty() && fraction.empty()) return bad();
  std::int64_t value = 0;
  for (char c : integer) {
    if (c < '0' || c > '9' || value > 1'000'000) return bad();
    value = value * 10 + (c - '0');
  }
  for (std::size_t i = 0; i < std::max<std::size_t>(fraction.size(), 9); ++i) {
    char c = i < fraction.size() ? fraction[i] : '0';
    if (c < '0' || c > '9') return bad();
    if (i >= 9 && c != '0') return invalid("value is too precise");
    if (i < 9) value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

Result<std::int64_t> parse_cpus(std::string_view text) {
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return decimal_billionths(text, text);
  ASSIGN_OR_RETURN(auto top, decimal_billionths(text.substr(0, slash), text));
  auto bottom = parse_go_int(text.substr(slash + 1));
  if (!bottom || *bottom <= 0) return invalid("failed to parse {} as a rational number", text);
  if (top % *bottom != 0) return invalid("value is too precise");
  return top / *bottom;
}

Result<json::Object> parse_ulimit(std::string_view text) {
  constexpr std::array<std::string_view, 15> kNames = {
      "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
      "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
  auto equals = text.find('=');
  if (equals == std::string_view::npos) return invalid("invalid ulimit argument: {}", text);
  auto name = text.substr(0, equals);
  if (std::find(kNames.begin(), kNames.end(), name) == kNames.end())
    return invalid("invalid ulimit type: {}", name);
  auto limits = split(text.substr(equals + 1), ':');
  if (limits.size() > 2)
    return invalid("too many limit value arguments - {}, can only have up to two, `soft[:hard]`",
                   text.substr(equals + 1));
  ASSIGN_OR_RETURN(auto soft, parse_go_int(limits[0]));
  auto hard = soft;
  if (limits.size() == 2) {
    ASSIGN_OR_RETURN(hard, parse_go_int(limits[1]));
    if (hard != -1 && (soft == -1 || soft > hard))
      return invalid("ulimit soft limit must be less than or equal to hard limit: {} > {}", soft,
                     hard);
  }
  return json::Object{{"Name", name}, {"Hard", hard}, {"Soft", soft}};
}

Result<json::Object> parse_device(std::string_view text) {
  auto parts = split(text, ':');
  std::string source = parts[0];
  std::string target = source;
  std::string mode = "rwm";
  if (parts.size() > 3 || parts[0].empty())
    return invalid("invalid device specification: {}", text);
  if (parts.size() == 3) {
    if (!is_device_mode(parts[2])) return invalid("bad mode specified: {}", parts[2]);
    target = parts[1];
    mode = parts[2];
  } else if (parts.size() == 2) {
    if (is_device_mode(parts[1]))
      mode = parts[1];
    else
      target = parts[1];
  }
  if (!target.starts_with('/')) return invalid("{} is not an absolute path", target);
  return json::Object{
      {"PathOnHost", source}, {"PathInContainer", target}, {"CgroupPermissions", mode}};
}

Result<json::Object> parse_restart_policy(std::string_view text) {
  json::Object policy{{"Name", "no"}, {"MaximumRetryCount", 0}};
  if (text.empty()) return policy;
  auto colon = text.find(':');
  if (colon == 0) return invalid("invalid restart policy format: no policy provided before colon");
  policy["Name"] = text.substr(0, colon);
  if (colon == std::string_view::npos) return policy;
  auto count = parse_go_int(text.substr(colon + 1));
  if (!count)
    return invalid("invalid restart policy format: maximum retry count must be an integer");
  policy["MaximumRetryCount"] = *count;
  return policy;
}

Result<std::string> parse_extra_host(std::string_view text) {
  auto separator = text.find('=');
  if (separator == std::string_view::npos) separator = text.find(':');
  if (separator == std::string_view::npos || separator == 0)
    return invalid("bad format for add-host: \"{}\"", text);
  auto name = text.substr(0, separator);
  auto address = text.substr(separator + 1);
  if (address.starts_with('[') && address.ends_with(']'))
    address = address.substr(1, address.size() - 2);
  if (address != "host-gateway" && !is_address(address))
    return invalid("invalid IP address in add-host: \"{}\"", address);
  return fmt::format("{}:{}", name, address);
}

Status check_ip_address(std::string_view text) {
  if (!is_address(text)) return invalid("IP address is not correctly formatted: {}", text);
  return {};
}

Status check_label(std::string_view text) {
  if (text.substr(0, text.find('=')).empty())
    return invalid("invalid label '{}': empty name", text);
  return {};
}

Status check_environment(std::string_view text) {
  if (text.substr(0, text.find('=')).empty())
    return invalid("invalid environment variable: {}", text);
  return {};
}

Result<json::Object> parse_device_rate(std::string_view text, bool size) {
  auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return invalid("bad format: {}", text);
  auto path = text.substr(0, colon);
  if (!path.starts_with("/dev/")) return invalid("bad format for device path: {}", text);
  auto value = text.substr(colon + 1);
  auto rate = size ? parse_ram_size(value) : parse_go_int(value);
  if (!rate || *rate < 0)
    return invalid(
        "invalid rate for device: {}. The correct format is <device-path>:<number>"
        "[<unit>]",
        text);
  return json::Object{{"Path", path}, {"Rate", *rate}};
}

std::string resolve_environment(const std::string& text) {
  if (std::find(text.begin(), text.end(), '=') != text.end()) return text;
  const char* value = std::getenv(text.c_str());
  return value ? text + "=" + value : text;
}

Result<std::vector<std::string>> read_pairs_file(const std::string& path, bool is_environment) {
  auto contents = read_file(path);
  if (!contents && contents.error().code == Code::kNotFound)
    return fail(Code::kNotFound, "open {}: no such file or directory", path);
  if (!contents) return tl::unexpected(std::move(contents).error());
  std::string_view rest = *contents;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  std::vector<std::string> pairs;
  for (auto& line : split(rest, '\n')) {
    if (line.ends_with('\r')) line.pop_back();
    auto first = line.find_first_not_of(" \t");
    if (first == std::string::npos || line[first] == '#') continue;
    line.erase(0, first);
    auto name = line.substr(0, line.find_first_of('='));
    if (name.find_first_of(" \t") != std::string::npos)
      return invalid("variable '{}' contains whitespaces", name);
    if (name.empty()) return invalid("no variable name on line '{}'", line);
    if (is_environment && name.size() == line.size()) {
      line = resolve_environment(line);
      if (line.size() == name.size()) continue;
    }
    pairs.push_back(line);
  }
  return pairs;
}

json::Object pairs_to_object(const std::vector<std::string>& pairs) {
  json::Object object;
  for (const auto& pair : pairs) {
    auto equals = std::find(pair.begin(), pair.end(), '=');
    object[std::string(pair.begin(), equals)] =
        equals == pair.end() ? std::string() : std::string(equals + 1, pair.end());
  }
  return object;
}

std::vector<std::string> normal_capabilities(const std::vector<std::string>& names) {
  std::set<std::string> result;
  for (std::string name : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    result.insert(name == "ALL" || name.starts_with("CAP_") ? name : "CAP_" + name);
  }
  return {result.begin(), result.end()};
}

}  // namespace holdfast::client
