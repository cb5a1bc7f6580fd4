#include "client/flags.h"

#include <algorithm>
#include <charconv>

#include "base/clock.h"
#include "base/size_text.h"

namespace holdfast::client {
namespace {

// "-m, --memory" or "--memory", as error messages name a flag.
std::string spelling(const Flag& flag) {
  return flag.shorthand ? fmt::format("-{}, --{}", flag.shorthand, flag.name) : "--" + flag.name;
}

Status set_flag(const Flag& flag, std::string_view value) {
  auto status = flag.set(value);
  if (status) return {};
  return fail(Code::kInvalidArgument, "invalid argument \"{}\" for \"{}\" flag: {}", value,
              spelling(flag), status.error().message);
}

// Appends `text` in lines of at most `width` columns, each after the first indented.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent,
                    std::size_t width) {
  std::size_t room = width > indent + 20 ? width - indent : 20;
  bool first = true;
  while (!text.empty()) {
    if (!first) out += "\n" + std::string(indent, ' ');
    first = false;
    auto newline = text.find('\n');
    std::size_t end = std::min(newline, text.size());
    if (end > room) {
      end = text.rfind(' ', room);
      if (end == std::string_view::npos || end == 0) end = std::min(text.find(' '), text.size());
    }
    out += text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  out += '\n';
}

}  // namespace

Result<bool> parse_go_bool(std::string_view text) {
  for (std::string_view word : {"1", "t", "T", "TRUE", "true", "True"})
    if (text == word) return true;
  for (std::string_view word : {"0", "f", "F", "FALSE", "false", "False"})
    if (text == word) return false;
  return fail(Code::kInvalidArgument, "strconv.ParseBool: parsing \"{}\": invalid syntax", text);
}

Result<std::int64_t> parse_go_int(std::string_view text) {
  std::int64_t number = 0;
  auto digits = text.starts_with('+') ? text.substr(1) : text;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc::result_out_of_range)
    return fail(Code::kInvalidArgument, "strconv.ParseInt: parsing \"{}\": value out of range",
                text);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
    return fail(Code::kInvalidArgument, "strconv.ParseInt: parsing \"{}\": invalid syntax", text);
  return number;
}

Result<std::vector<std::string>> split_csv(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool at_start = fields.back().empty() && (i == 0 || text[i - 1] == ',');
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (quoted && c == '"') {
      quoted = false;
      if (i + 1 < text.size() && text[i + 1] != ',')
        return fail(Code::kInvalidArgument,
                    "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                    i + 2);
    } else if (quoted) {
      fields.back() += c;
    } else if (c == '"' && at_start) {
      quoted = true;
    } else if (c == '"') {
      return fail(Code::kInvalidArgument,
                  "parse error on line 1, column {}: bare \" in non-quoted-field", i + 1);
    } else if (c == ',') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted)
    return fail(Code::kInvalidArgument,
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                text.size() + 1);
  return fields;
}

void FlagSet::flag(std::string_view name, char shorthand, bool& target, std::string_view help) {
  add({std::string(name), shorthand, "", std::string(help),
       [&target](std::string_view value) -> Status {
         ASSIGN_OR_RETURN(target, parse_go_bool(value));
         return {};
       },
       true});
}

void FlagSet::flag(std::string_view name, char shorthand, std::optional<bool>& target,
                   std::string_view help) {
  add({std::string(name), shorthand, "", std::string(help),
       [&target](std::string_view value) -> Status {
         ASSIGN_OR_RETURN(target, parse_go_bool(value));
         return {};
       },
       true});
}

void FlagSet::flag(std::string_view name, char shorthand, std::string& target,
                   std::string_view help, std::string_view type_name) {
  add({std::string(name), shorthand, std::string(type_name), std::string(help),
       [&target](std::string_view value) -> Status {
         target = value;
         return {};
       }});
}

void FlagSet::flag(std::string_view name, char shorthand, std::optional<std::string>& target,
                   std::string_view help, std::string_view type_name) {
  add({std::string(name), shorthand, std::string(type_name), std::string(help),
       [&target](std::string_view value) -> Status {
         target = value;
         return {};
       }});
}

void FlagSet::flag(std::string_view name, char shorthand, std::int64_t& target,
                   std::string_view help) {
  add({std::string(name), shorthand, "int", std::string(help),
       [&target](std::string_view value) -> Status {
         ASSIGN_OR_RETURN(target, parse_go_int(value));
         return {};
       }});
}

void FlagSet::flag(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
                   std::string_view help) {
  add({std::string(name), shorthand, "int", std::string(help),
       [&target](std::string_view value) -> Status {
         ASSIGN_OR_RETURN(target, parse_go_int(value));
         return {};
       }});
}

void FlagSet::flag(std::string_view name, char shorthand, std::vector<std::string>& target,
                   std::string_view help, std::string_view type_name) {
  add({std::string(name), shorthand, std::string(type_name), std::string(help),
       [&target](std::string_view value) -> Status {
         target.emplace_back(value);
         return {};
       }});
}

void FlagSet::bytes(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
                    std::string_view help) {
  add({std::string(name), shorthand, "bytes", std::string(help),
       [&target](std::string_view value) -> Status {
         ASSIGN_OR_RETURN(target, parse_ram_size(value));
         return {};
       }});
}

void FlagSet::duration(std::string_view name, char shorthand, std::optional<std::int64_t>& target,
                       std::string_view help) {
  add({std::string(name), shorthand, "duration", std::string(help),
       [&target](std::string_view value) -> Status {
         auto parsed = parse_go_duration(value);
         if (!parsed) return fail(Code::kInvalidArgument, "time: invalid duration \"{}\"", value);
         target = parsed->count();
         return {};
       }});
}

void FlagSet::hide(std::string_view name) {
  for (auto& flag : flags_)
    if (flag.name == name) flag.hidden = true;
}

const Flag* FlagSet::find_long(std::string_view name) const {
  auto found = std::find_if(flags_.begin(), flags_.end(),
                            [&](const Flag& flag) { return flag.name == name; });
  return found == flags_.end() ? nullptr : &*found;
}

const Flag* FlagSet::find_short(char letter) const {
  auto found = std::find_if(flags_.begin(), flags_.end(),
                            [&](const Flag& flag) { return flag.shorthand == letter; });
  return found == flags_.end() ? nullptr : &*found;
}

Result<std::vector<std::string>> FlagSet::parse(const std::vector<std::string>& arguments,
                                                bool stop_at_first_argument) {
  std::vector<std::string> positional;
  for (std::size_t at = 0; at < arguments.size() && !help_wanted_; ++at) {
    const std::string& argument = arguments[at];
    if (argument == "--") {
      positional.insert(positional.end(), arguments.begin() + static_cast<long>(at) + 1,
                        arguments.end());
      break;
    }
    if (argument.starts_with("--")) {
      RETURN_IF_ERROR(parse_long(arguments, at));
    } else if (argument.starts_with('-') && argument.size() > 1) {
      RETURN_IF_ERROR(parse_short(arguments, at));
    } else if (stop_at_first_argument) {
      positional.insert(positional.end(), arguments.begin() + static_cast<long>(at),
                        arguments.end());
      break;
    } else {
      positional.push_back(argument);
    }
  }
  return positional;
}

Status FlagSet::parse_long(const std::vector<std::string>& arguments, std::size_t& at) {
  std::string_view text = std::string_view(arguments[at]).substr(2);
  auto equals = text.find('=');
  std::string_view name = text.substr(0, equals);
  const Flag* flag = find_long(name);
  if (!flag && name == "help") {
    help_wanted_ = true;
    return {};
  }
  if (name.empty() || name.starts_with('-'))
    return fail(Code::kInvalidArgument, "bad flag syntax: {}", arguments[at]);
  if (!flag) return fail(Code::kInvalidArgument, "unknown flag: --{}", name);
  if (equals != std::string_view::npos) return set_flag(*flag, text.substr(equals + 1));
  if (flag->is_switch) return set_flag(*flag, "true");
  if (at + 1 == arguments.size())
    return fail(Code::kInvalidArgument, "flag needs an argument: --{}", name);
  return set_flag(*flag, arguments[++at]);
}

Status FlagSet::parse_short(const std::vector<std::string>& arguments, std::size_t& at) {
  const std::string cluster = arguments[at].substr(1);
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    const Flag* flag = find_short(cluster[i]);
    if (!flag && cluster[i] == 'h') {
      help_wanted_ = true;
      return {};
    }
    if (!flag)
      return fail(Code::kInvalidArgument, "unknown shorthand flag: '{}' in -{}", cluster[i],
                  cluster.substr(i));
    std::string_view rest = std::string_view(cluster).substr(i + 1);
    if (rest.starts_with('=')) return set_flag(*flag, rest.substr(1));
    if (flag->is_switch) {
      RETURN_IF_ERROR(set_flag(*flag, "true"));
      continue;
    }
    if (!rest.empty()) return set_flag(*flag, rest);
    if (at + 1 == arguments.size())
      return fail(Code::kInvalidArgument, "flag needs an argument: '{}' in -{}", cluster[i],
                  cluster.substr(i));
    return set_flag(*flag, arguments[++at]);
  }
  return {};
}

std::string FlagSet::describe(std::size_t width) const {
  std::vector<const Flag*> shown;
  std::size_t column = 0;
  for (const auto& flag : flags_) {
    if (flag.hidden) continue;
    shown.push_back(&flag);
    std::size_t type = flag.type_name.empty() ? 0 : flag.type_name.size() + 1;
    column = std::max(column, flag.name.size() + type + 8);
  }
  std::sort(shown.begin(), shown.end(),
            [](const Flag* a, const Flag* b) { return a->name < b->name; });
  std::string out;
  for (const Flag* flag : shown) {
    std::string line = flag->shorthand ? fmt::format("  -{}, --{}", flag->shorthand, flag->name)
                                       : fmt::format("      --{}", flag->name);
    if (!flag->type_name.empty()) line += " " + flag->type_name;
    out += fmt::format("{:<{}}   ", line, column);
    append_wrapped(out, flag->help, column + 3, width);
  }
  return out;
}

}  // namespace holdfast::client
