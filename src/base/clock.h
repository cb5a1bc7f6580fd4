#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// Wall-clock time with nanoseconds, as records and the API carry it.
using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

Time now();

// RFC 3339 in UTC with nine decimals trimmed as Go's RFC3339Nano does: "2026-01-02T03:04:05.6Z".
// The zero Time is Docker's "0001-01-01T00:00:00Z".
std::string to_rfc3339(Time time);

// RFC 3339 with an optional fraction and zone; nullopt for anything else.
std::optional<Time> parse_rfc3339(std::string_view text);

// What Docker's since, until and until= filters take: RFC 3339 (zone and time of day optional),
// Unix seconds with an optional fraction, or a Go duration ("1h30m") back from `reference`.
std::optional<Time> parse_moment(std::string_view text, Time reference);

// A Go duration such as "300ms", "1h15m30s"; nullopt if it is none.
std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text);

}  // namespace holdfast
