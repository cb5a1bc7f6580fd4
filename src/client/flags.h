#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace holdfast::client {

// One option of a command: how it is spelled and what taking a value does.
struct Flag {
  std::string name;       // long name without dashes
  char shorthand = 0;     // 0: none
  std::string type_name;  // shown in --help; empty for switches
  std::string help;
  std::function<Status(std::string_view value)> set;
  bool is_switch = false;  // takes no value unless written --name=value
  bool hidden = false;     // accepted, not shown
};

// The options of a command, parsed the way Docker's clients parse theirs (pflag): --name value,
// --name=value, -n value, -nvalue, clusters of switches (-it), "--" ends them. Whether options may
// follow the first positional argument is the command's choice. The targets must outlive parse().
class FlagSet {
 public:
  void add(Flag flag) { flags_.push_back(std::move(flag)); }

  void flag(std::string_view name, char shorthand, bool& target, std::string_view help);
  void flag(std::string_view name, char shorthand, std::optional<bool>& target,
            std::string_view help);
  void flag(std::string_view name, char shorthand, std::string& target, std::string_view help,
            std::string_view type_name = "string");
  void flag(std::string_view name, char shorthand, std::optional<std::string>& target,
            std::string_view help, std::string_view type_name = "string");
  void flag(std::string_view name, char shorthand, std::int64_t& target, std::string_view help);
  void flag(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
            std::string_view help);
  // Repeatable; each use adds one value as it is.
  void flag(std::string_view name, char shorthand, std::vector<std::string>& target,
            std::string_view help, std::string_view type_name = "list");
  // A size such as "64m".
  void bytes(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
             std::string_view help);
  // A Go duration, in nanoseconds.
  void duration(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
                std::string_view help);
  // Not shown by help: kept for scripts that use them.
  void hide(std::string_view name);

  // Sets the targets and returns the positional arguments. kInvalidArgument with Docker's words.
  // --help (and -h, where that is no option of its own) sets help_wanted() and ends parsing.
  Result<std::vector<std::string>> parse(const std::vector<std::string>& arguments,
                                         bool stop_at_first_argument);
  bool help_wanted() const { return help_wanted_; }

  // The "Options:" part of --help, wrapped to `width` columns; empty when there are none.
  std::string describe(std::size_t width = 80) const;

 private:
  const Flag* find_long(std::string_view name) const;
  const Flag* find_short(char letter) const;
  Status parse_long(const std::vector<std::string>& arguments, std::size_t& at);
  Status parse_short(const std::vector<std::string>& arguments, std::size_t& at);

  std::vector<Flag> flags_;
  bool help_wanted_ = false;
};

// Go's strconv.ParseBool and ParseInt, with their error messages.
Result<bool> parse_go_bool(std::string_view text);
Result<std::int64_t> parse_go_int(std::string_view text);

// Splits one record of comma-separated values (RFC 4180, as Go's encoding/csv reads it).
Result<std::vector<std::string>> split_csv(std::string_view text);

}  // namespace holdfast::client
