#include "http/request.h"

#include <algorithm>
#include <charconv>

namespace holdfast::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string_view trim(std::string_view text) {
  auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// Takes the part up to the next `separator` off the front of `text`; false when nothing is left.
bool next_part(std::string_view& text, char separator, bool& more, std::string_view& part) {
  if (!more) return false;
  auto end = text.find(separator);
  part = text.substr(0, end);
  more = end != std::string_view::npos;
  if (more) text.remove_prefix(end + 1);
  return true;
}

// "v1.41": a version prefix. A name such as "volumes" or "v" is none.
bool is_version_prefix(std::string_view segment) {
  return segment.size() >= 2 && segment[0] == 'v' &&
         segment.find_first_not_of("0123456789.", 1) == std::string_view::npos;
}

// The first segment of our own API, which has versions of its own behind it.
constexpr std::string_view kOwnApi = "holdfast";

// One part of a version; what is too large for a number is larger than any version we speak.
Result<int> version_part(std::string_view text, std::string_view whole) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return 1 << 30;
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::kInvalidArgument, "invalid API version \"{}\"", whole);
  return number;
}

}  // namespace

std::string to_string(ApiVersion version) {
  return fmt::format("{}.{}", version.major, version.minor);
}

Result<ApiVersion> parse_api_version(std::string_view text) {
  auto dot = text.find('.');
  ASSIGN_OR_RETURN(int major, version_part(text.substr(0, dot), text));
  int minor = 0;
  if (dot != std::string_view::npos) {
    ASSIGN_OR_RETURN(minor, version_part(text.substr(dot + 1), text));
  }
  ApiVersion version{major, minor};
  if (version < kMinApiVersion)
    return fail(Code::kInvalidArgument,
                "client version {} is too old. Minimum supported API version is {}, please upgrade "
                "your client to a newer version",
                text, to_string(kMinApiVersion));
  if (version > kMaxApiVersion)
    return fail(Code::kInvalidArgument,
                "client version {} is too new. Maximum supported API version is {}", text,
                to_string(kMaxApiVersion));
  return version;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return fail(Code::kInvalidArgument, "invalid URL escape \"{}\"", text.substr(i, 3));
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return decoded;
}

Result<Query> Query::parse(std::string_view text) {
  Query query;
  std::string_view part;
  for (bool more = !text.empty(); next_part(text, '&', more, part);) {
    if (part.empty()) continue;
    auto equals = part.find('=');
    ASSIGN_OR_RETURN(auto name, percent_decode(part.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos) {
      ASSIGN_OR_RETURN(value, percent_decode(part.substr(equals + 1), true));
    }
    query.items_.emplace_back(std::move(name), std::move(value));
  }
  return query;
}

const std::string* Query::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (key == name) return &value;
  return nullptr;
}

std::string Query::get(std::string_view name, std::string_view fallback) const {
  const std::string* value = find(name);
  return value ? *value : std::string(fallback);
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : items_)
    if (key == name) values.push_back(value);
  return values;
}

bool Query::flag(std::string_view name, bool fallback) const {
  const std::string* value = find(name);
  if (!value) return fallback;
  std::string_view text = trim(*value);
  for (std::string_view no : {"", "0", "no", "false", "none"})
    if (equal_ignoring_case(text, no)) return false;
  return true;
}

Result<std::optional<std::int64_t>> Query::optional_number(std::string_view name) const {
  const std::string* text = find(name);
  if (!text || text->empty()) return std::nullopt;
  std::int64_t number = 0;
  // from_chars takes no '+', which Go's parser does.
  const char* begin = text->data() + (text->front() == '+' ? 1 : 0);
  const char* end = text->data() + text->size();
  auto [stop, error] = std::from_chars(begin, end, number);
  if (error != std::errc() || stop != end)
    return fail(Code::kInvalidArgument, "invalid value for parameter \"{}\": \"{}\" is no number",
                name, *text);
  return number;
}

Result<std::int64_t> Query::number(std::string_view name, std::int64_t fallback) const {
  ASSIGN_OR_RETURN(auto number, optional_number(name));
  return number.value_or(fallback);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (equal_ignoring_case(key, name)) return &value;
  return nullptr;
}

std::string Headers::get(std::string_view name) const {
  const std::string* value = find(name);
  return value ? *value : std::string();
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(items_.begin(), items_.end(),
                    [&](const auto& item) { return equal_ignoring_case(item.first, name); }));
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : items_) {
    if (!equal_ignoring_case(key, name)) continue;
    std::string_view rest = value;
    std::string_view part;
    for (bool more = true; next_part(rest, ',', more, part);)
      if (equal_ignoring_case(trim(part), token)) return true;
  }
  return false;
}

Result<Target> parse_target(std::string_view text) {
  // The absolute form, "GET http://docker/v1.41/info", that proxies use: the path is what counts.
  if (text.starts_with("http://") || text.starts_with("https://")) {
    auto path = text.find('/', text.find("://") + 3);
    text = path == std::string_view::npos ? std::string_view("/") : text.substr(path);
  }
  if (!text.starts_with('/'))
    return fail(Code::kInvalidArgument, "invalid request target \"{}\"", text);
  text = text.substr(0, text.find('#'));
  auto question = text.find('?');
  std::string_view path =
      text.substr(1, question == std::string_view::npos ? question : question - 1);
  Target target;
  std::string_view part;
  for (bool more = true; next_part(path, '/', more, part);) {
    ASSIGN_OR_RETURN(auto segment, percent_decode(part, false));
    if (segment.find('\0') != std::string::npos)
      return fail(Code::kInvalidArgument, "invalid request target: NUL byte in the path");
    target.segments.push_back(std::move(segment));
  }
  target.version = kMaxApiVersion;
  // "/v1.41/holdfast/…" keeps its prefix, and is no path that anybody has.
  if (target.segments.size() > 1 && is_version_prefix(target.segments[0]) &&
      target.segments[1] != kOwnApi) {
    ASSIGN_OR_RETURN(target.version,
                     parse_api_version(std::string_view(target.segments[0]).substr(1)));
    target.segments.erase(target.segments.begin());
  }
  if (question != std::string_view::npos) {
    ASSIGN_OR_RETURN(target.query, Query::parse(text.substr(question + 1)));
  }
  return target;
}

const std::string& Request::param(std::string_view name) const {
  static const std::string none;
  for (const auto& [key, value] : params)
    if (key == name) return value;
  return none;
}

}  // namespace holdfast::http
