#include "base/random.h"

#include <sys/random.h>

#include <string_view>

#include "base/error.h"

namespace holdfast {
namespace {

std::string random_text(std::size_t size, std::string_view alphabet) {
  // Bytes beyond the last whole alphabet are dropped, or some characters would come more often.
  const std::size_t limit = 256 / alphabet.size() * alphabet.size();
  std::string text(size, '0');
  std::size_t filled = 0;
  while (filled < size) {
    unsigned char bytes[64];
    ssize_t count = ::getrandom(bytes, sizeof bytes, 0);
    CHECK(count > 0);
    for (ssize_t i = 0; i < count && filled < size; ++i) {
      if (bytes[i] < limit) text[filled++] = alphabet[bytes[i] % alphabet.size()];
    }
  }
  return text;
}

}  // namespace

std::string random_hex(std::size_t digits) { return random_text(digits, "0123456789abcdef"); }

std::string random_base36(std::size_t characters) {
  return random_text(characters, "0123456789abcdefghijklmnopqrstuvwxyz");
}

}  // namespace holdfast
