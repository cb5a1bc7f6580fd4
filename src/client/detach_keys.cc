#include "client/detach_keys.h"

namespace holdfast::client {
namespace {

Result<char> parse_key(std::string_view key) {
  if (key.size() == 1) return key[0];
  if (key.starts_with("ctrl-") && key.size() == 6) {
    char c = key[5];
    if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 1);
    if (c == '@') return '\0';
    constexpr std::string_view kSymbols = "[\\]^_";
    if (auto at = kSymbols.find(c); at != std::string_view::npos) return static_cast<char>(27 + at);
  }
  return fail(Code::kInvalidArgument, "Unknown character: '{}'", key);
}

}  // namespace

Result<DetachKeys> DetachKeys::parse(std::string_view text) {
  if (text.empty()) text = "ctrl-p,ctrl-q";
  std::string keys;
  while (true) {
    auto comma = text.find(',');
    ASSIGN_OR_RETURN(char key, parse_key(text.substr(0, comma)));
    keys += key;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return DetachKeys(std::move(keys));
}

bool DetachKeys::feed(std::string_view typed, std::string& out) {
  for (char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) return true;
      continue;
    }
    out.append(keys_, 0, matched_);
    matched_ = 0;
    if (c == keys_[0] && keys_.size() > 1)
      matched_ = 1;
    else
      out += c;
  }
  return false;
}

}  // namespace holdfast::client
