#include "base/size_text.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <span>

namespace holdfast {
namespace {

constexpr std::array<std::string_view, 9> kDecimal = {"B",  "kB", "MB", "GB", "TB",
                                                      "PB", "EB", "ZB", "YB"};
constexpr std::array<std::string_view, 9> kBinary = {"B",   "KiB", "MiB", "GiB", "TiB",
                                                     "PiB", "EiB", "ZiB", "YiB"};

std::string scaled(double bytes, double base, std::span<const std::string_view> units,
                   int precision) {
  std::size_t unit = 0;
  while (bytes >= base && unit + 1 < units.size()) {
    bytes /= base;
    ++unit;
  }
  return fmt::format("{:.{}g}{}", bytes, precision, units[unit]);
}

// Binary, as Docker takes all memory sizes: the multiplier of a suffix letter, or 0.
double multiplier(char suffix) {
  constexpr std::string_view kLetters = "kmgtp";
  auto at = kLetters.find(suffix);
  return at == std::string_view::npos ? 0 : std::pow(1024, static_cast<double>(at + 1));
}

Result<double> parse_number(std::string_view text) {
  std::string copy(text);
  char* end = nullptr;
  double number = std::strtod(copy.c_str(), &end);
  bool plain = copy.find_first_not_of("0123456789.+-") == std::string::npos;
  if (copy.empty() || !plain || end != copy.c_str() + copy.size())
    return fail(Code::kInvalidArgument, "strconv.ParseFloat: parsing \"{}\": invalid syntax", text);
  return number;
}

}  // namespace

std::string human_size(double bytes, int precision) {
  return scaled(bytes, 1000, kDecimal, precision);
}

std::string bytes_size(double bytes, int precision) {
  return scaled(bytes, 1024, kBinary, precision);
}

Result<std::int64_t> parse_ram_size(std::string_view text) {
  auto last = text.find_last_of("0123456789. ");
  if (last == std::string_view::npos)
    return fail(Code::kInvalidArgument, "invalid size: '{}'", text);
  ASSIGN_OR_RETURN(double size, parse_number(text.substr(0, text[last] == ' ' ? last : last + 1)));
  if (size < 0) return fail(Code::kInvalidArgument, "invalid size: '{}'", text);
  std::string suffix(text.substr(last + 1));
  for (char& c : suffix) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  bool known = suffix.empty() || suffix == "b";
  if (!known && multiplier(suffix[0]) > 0) {
    std::string_view rest = std::string_view(suffix).substr(1);
    known = rest.empty() || rest == "b" || rest == "ib";
    size *= multiplier(suffix[0]);
  }
  if (!known) return fail(Code::kInvalidArgument, "invalid suffix: '{}'", suffix);
  // 2^63 as a double: at and above it the conversion is undefined.
  if (size >= 9223372036854775808.0)
    return fail(Code::kInvalidArgument, "invalid size: '{}'", text);
  return static_cast<std::int64_t>(size);
}

}  // namespace holdfast
