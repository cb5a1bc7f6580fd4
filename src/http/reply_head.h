#pragma once

#include <string>
#include <string_view>

#include "http/responder.h"

namespace holdfast::http {

std::string_view reason_phrase(int status);

// The status line and header fields, with those that every answer of Docker's has, up to and
// including the empty line. Control characters in values become spaces: a value never ends its
// line.
std::string format_reply_head(int status, std::string_view reason, std::string_view server,
                              const HeaderList& headers);

}  // namespace holdfast::http
