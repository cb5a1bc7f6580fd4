#include "base/random.h"

#include <sys/random.h>

#include "base/error.h"

namespace holdfast {

std::string random_hex(std::size_t digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(digits, '0');
  std::size_t filled = 0;
  while (filled < digits) {
    unsigned char bytes[64];
    ssize_t count = ::getrandom(bytes, sizeof bytes, 0);
    CHECK(count > 0);
    for (ssize_t i = 0; i < count && filled < digits; ++i) text[filled++] = kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace holdfast
