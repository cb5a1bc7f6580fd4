#pragma once

#include "base/error.h"

namespace holdfast::http {

// The HTTP status that Docker's clients expect for a kind of failure.
int http_status(Code code);

}  // namespace holdfast::http
