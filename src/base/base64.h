#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

// RFC 4648 base64.
namespace holdfast {

std::string base64_encode(std::string_view bytes);
// The URL-safe alphabet, padded, as Go's base64.URLEncoding writes it.
std::string base64url_encode(std::string_view bytes);

// Either alphabet, padded or not; anything else is kInvalidArgument, in Go's words.
Result<std::string> base64_decode(std::string_view text);

// The same to memory of the caller's: `out` has room for 3 bytes of every 4 characters, begun ones
// included. Returns how many were written.
Result<std::size_t> base64_decode_to(char* out, std::string_view text);

}  // namespace holdfast
