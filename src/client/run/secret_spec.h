#pragma once

#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::client {

// --secret ID, ID,target=…,uid=…,gid=…,mode=… or source=ID,… as an entry of HostConfig.Secrets. A
// mode is octal, with or without a leading zero. kInvalidArgument, in Docker's words where it has
// some.
Result<json::Object> parse_secret_spec(std::string_view text);

}  // namespace holdfast::client
