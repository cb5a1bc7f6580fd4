#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

// Sizes as people read and write them, in the words of Docker's clients (go-units).
namespace holdfast {

// Powers of 1000 with `precision` significant digits: "0B", "1.23kB", "44.6MB".
std::string human_size(double bytes, int precision = 4);

// Powers of 1024: "1.5KiB", "64MiB".
std::string bytes_size(double bytes, int precision = 4);

// "64m", "1.5g", "512", "1KiB", "2 gb": powers of 1024. kInvalidArgument with Docker's words.
Result<std::int64_t> parse_ram_size(std::string_view text);

}  // namespace holdfast
