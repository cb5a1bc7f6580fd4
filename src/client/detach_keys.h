#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::client {

// Watches what is typed for the key sequence that detaches from a container. Bytes that may begin
// the sequence are held back until the next ones decide.
class DetachKeys {
 public:
  // "ctrl-p,ctrl-q" and the like: ctrl-<letter or @[\]^_> or single characters, comma-separated.
  // Empty: the default of Docker, ctrl-p,ctrl-q.
  static Result<DetachKeys> parse(std::string_view text);

  // Appends to `out` what is to be passed on; true once the sequence is complete.
  bool feed(std::string_view typed, std::string& out);

 private:
  explicit DetachKeys(std::string keys) : keys_(std::move(keys)) {}
  std::string keys_;
  std::size_t matched_ = 0;
};

}  // namespace holdfast::client
