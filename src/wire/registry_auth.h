#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::wire {

// Credentials for one registry, as the X-Registry-Auth header carries them: base64url of a JSON
// object. All empty means anonymous.
struct RegistryAuth {
  std::string username;
  std::string password;
  std::string server_address;
  std::string identity_token;  // an OAuth2 refresh token in place of a password
  std::string registry_token;  // a bearer token to use as it is

  bool empty() const {
    return username.empty() && password.empty() && identity_token.empty() && registry_token.empty();
  }
};

std::string encode_registry_auth(const RegistryAuth& auth);

// An empty header is anonymous. Accepts both base64 alphabets, padded or not, and the "auth" member
// ("user:password" in base64) of older clients. kInvalidArgument for anything else.
Result<RegistryAuth> decode_registry_auth(std::string_view header);

}  // namespace holdfast::wire
