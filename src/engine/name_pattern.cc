#include "engine/name_pattern.h"

namespace holdfast {
namespace {

constexpr std::size_t kLongest = 256;

}  // namespace

NamePattern::NamePattern(std::string pattern) : text_(std::move(pattern)) {
  bool plain = text_.find_first_of("^$.*+?()[]{}|\\") == std::string::npos;
  if (plain || text_.size() > kLongest) return;
  // std::regex reports a malformed pattern by throwing: the one seam in this file. Without
  // backtracking "(a+)+$" costs no more than any other; back-references, which Docker's syntax
  // doesn't have either, are malformed then.
  try {
    expression_.emplace(text_, std::regex::ECMAScript | std::regex_constants::__polynomial);
  } catch (const std::regex_error&) {
    expression_.reset();
  }
}

bool NamePattern::matches(const std::string& name) const {
  if (expression_) return std::regex_search(name, *expression_);
  return name.find(text_) != std::string::npos;
}

}  // namespace holdfast
