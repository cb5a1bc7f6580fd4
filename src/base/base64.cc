#include "base/base64.h"

#include <array>
#include <cstdint>

namespace holdfast {
namespace {

constexpr std::string_view kStandard =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, std::string_view alphabet) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      text.push_back(i <= group.size() ? alphabet[bits >> (18 - 6 * i) & 63] : '=');
  }
  return text;
}

constexpr std::uint8_t kNone = 0xff;

// The six bits of each character of both alphabets, or kNone.
constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& value : values) value = kNone;
  for (std::uint8_t i = 0; i < 64; ++i) {
    values[static_cast<unsigned char>(kStandard[i])] = i;
    values[static_cast<unsigned char>(kUrlSafe[i])] = i;
  }
  return values;
}
constexpr auto kValues = make_values();

tl::unexpected<Error> illegal(std::size_t at) {
  return fail(Code::kInvalidArgument, "illegal base64 data at input byte {}", at);
}

}  // namespace

std::string base64_encode(std::string_view bytes) { return encode(bytes, kStandard); }
std::string base64url_encode(std::string_view bytes) { return encode(bytes, kUrlSafe); }

Result<std::size_t> base64_decode_to(char* out, std::string_view text) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  std::size_t written = 0;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::uint8_t value = kValues[static_cast<unsigned char>(text[at])];
    if (value == kNone) return illegal(at);
    bits = bits << 6 | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[written++] = static_cast<char>(bits >> held);
    }
  }
  if (text.size() % 4 == 1) return illegal(text.size());
  return written;
}

Result<std::string> base64_decode(std::string_view text) {
  std::string bytes((text.size() + 3) / 4 * 3, '\0');
  ASSIGN_OR_RETURN(auto size, base64_decode_to(bytes.data(), text));
  bytes.resize(size);
  return bytes;
}

}  // namespace holdfast
