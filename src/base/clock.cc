#include "base/clock.h"

#include <fmt/format.h>
#include <time.h>

#include <charconv>
#include <cmath>

namespace holdfast {
namespace {

using std::chrono::nanoseconds;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

// Reads exactly `digits` decimal digits off the front of `text`.
bool take_number(std::string_view& text, std::size_t digits, int& out) {
  if (text.size() < digits) return false;
  auto [end, error] = std::from_chars(text.data(), text.data() + digits, out);
  if (error != std::errc() || end != text.data() + digits || text[0] == '-') return false;
  text.remove_prefix(digits);
  return true;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// ".123" after seconds, as nanoseconds; more than nine digits are cut.
std::optional<std::int64_t> take_fraction(std::string_view& text) {
  if (!take_char(text, '.')) return 0;
  std::int64_t value = 0;
  std::size_t digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (digits < 9) value = value * 10 + (text.front() - '0');
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  for (std::size_t i = digits; i < 9; ++i) value *= 10;
  return value;
}

// "Z", "+hh:mm" or "-hh:mm" as seconds east of UTC; nothing at all counts as UTC where `optional`.
std::optional<int> take_zone(std::string_view& text, bool optional) {
  if (text.empty()) return optional ? std::optional<int>(0) : std::nullopt;
  if (take_char(text, 'Z') || take_char(text, 'z')) return 0;
  int sign = text.front() == '-' ? -1 : 1;
  if (!take_char(text, '+') && !take_char(text, '-')) return std::nullopt;
  int hours = 0;
  int minutes = 0;
  if (!take_number(text, 2, hours) || !take_char(text, ':') || !take_number(text, 2, minutes)) {
    return std::nullopt;
  }
  return sign * (hours * 3600 + minutes * 60);
}

std::optional<Time> parse_date_time(std::string_view text, bool lenient) {
  struct tm parts = {};
  if (!take_number(text, 4, parts.tm_year) || !take_char(text, '-') ||
      !take_number(text, 2, parts.tm_mon) || !take_char(text, '-') ||
      !take_number(text, 2, parts.tm_mday)) {
    return std::nullopt;
  }
  std::int64_t fraction = 0;
  if (take_char(text, 'T') || take_char(text, 't')) {
    if (!take_number(text, 2, parts.tm_hour) || !take_char(text, ':') ||
        !take_number(text, 2, parts.tm_min)) {
      return std::nullopt;
    }
    if (take_char(text, ':')) {
      if (!take_number(text, 2, parts.tm_sec)) return std::nullopt;
    } else if (!lenient) {
      return std::nullopt;
    }
    auto nanos = take_fraction(text);
    if (!nanos) return std::nullopt;
    fraction = *nanos;
  } else if (!lenient) {
    return std::nullopt;
  }
  auto zone = take_zone(text, lenient);
  if (!zone || !text.empty()) return std::nullopt;
  if (parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
      parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  std::int64_t seconds = timegm(&parts) - *zone;
  // Years outside of what nanoseconds in 64 bits can carry (1677 to 2262) come out as the zero
  // Time.
  if (parts.tm_year < 1678 - 1900 || parts.tm_year > 2261 - 1900) return Time{};
  return Time{nanoseconds(seconds * kNanosPerSecond + fraction)};
}

std::optional<Time> parse_unix(std::string_view text) {
  std::int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  auto fraction = take_fraction(text);
  if (!fraction || !text.empty()) return std::nullopt;
  if (std::abs(seconds) > 9'000'000'000) return std::nullopt;
  return Time{nanoseconds(seconds * kNanosPerSecond + *fraction)};
}

std::optional<double> unit_in_nanos(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "µs" || unit == "μs") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  if (unit == "h") return 3600e9;
  return std::nullopt;
}

}  // namespace

Time now() { return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now()); }

std::string to_rfc3339(Time time) {
  std::int64_t total = time.time_since_epoch().count();
  if (total == 0) return "0001-01-01T00:00:00Z";
  std::int64_t nanos = ((total % kNanosPerSecond) + kNanosPerSecond) % kNanosPerSecond;
  time_t seconds = (total - nanos) / kNanosPerSecond;
  struct tm parts = {};
  gmtime_r(&seconds, &parts);
  std::string text =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                  parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  if (nanos != 0) {
    text += fmt::format(".{:09}", nanos);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text + "Z";
}

std::optional<Time> parse_rfc3339(std::string_view text) { return parse_date_time(text, false); }

std::optional<Time> parse_moment(std::string_view text, Time reference) {
  if (auto time = parse_date_time(text, true)) return time;
  if (auto time = parse_unix(text)) return time;
  auto duration = parse_go_duration(text);
  std::int64_t then = 0;
  if (!duration ||
      __builtin_sub_overflow(reference.time_since_epoch().count(), duration->count(), &then))
    return std::nullopt;
  return Time{nanoseconds(then)};
}

std::optional<nanoseconds> parse_go_duration(std::string_view text) {
  if (text == "0") return nanoseconds(0);
  bool negative = !text.empty() && text.front() == '-';
  if (negative || (!text.empty() && text.front() == '+')) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    double value = 0;
    auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || text.front() == '-') return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t length = text.find_first_of("0123456789.");
    auto unit = unit_in_nanos(text.substr(0, length));
    if (!unit) return std::nullopt;
    total += value * *unit;
    text.remove_prefix(length == std::string_view::npos ? text.size() : length);
  }
  if (total > 9.2e18) return std::nullopt;
  auto count = static_cast<std::int64_t>(std::llround(total));
  return nanoseconds(negative ? -count : count);
}

}  // namespace holdfast
