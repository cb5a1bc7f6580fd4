#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>

namespace holdfast {

// A value of Docker's `name` filters: a regular expression that may match anywhere. One that is
// malformed is looked for as it stands. A value; matching takes time in proportion to the text,
// whatever the pattern.
class NamePattern {
 public:
  explicit NamePattern(std::string pattern);

  bool matches(const std::string& name) const;

 private:
  std::string text_;
  std::optional<std::regex> expression_;  // absent: the text itself is looked for
};

}  // namespace holdfast
