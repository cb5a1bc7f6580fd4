#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

// RFC 4648 base64.
namespace holdfast::wire {

std::string base64_encode(std::string_view bytes);
// The URL-safe alphabet, padded, as Go's base64.URLEncoding writes it.
std::string base64url_encode(std::string_view bytes);

// Either alphabet, padded or not; anything else is kInvalidArgument.
Result<std::string> base64_decode(std::string_view text);

}  // namespace holdfast::wire
