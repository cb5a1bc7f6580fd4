#include "image/changes.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace holdfast::image {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return result;
}

struct Instruction {
  std::string name;       // upper case
  std::string arguments;  // the rest of the line
};

Instruction split_instruction(std::string_view line) {
  line = trim(line);
  std::size_t end = 0;
  while (end < line.size() && !is_blank(line[end])) ++end;
  return {upper(line.substr(0, end)), std::string(trim(line.substr(end)))};
}

// The JSON ("exec") form, or nullopt when the text is none: Docker takes it for shell form then.
std::optional<std::vector<std::string>> exec_form(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  auto value = json::parse(text);
  if (!value || !value->is_array()) return std::nullopt;
  std::vector<std::string> words;
  for (const auto& element : value->get_array()) {
    if (!element.is_string()) return std::nullopt;
    words.emplace_back(element.get_string());
  }
  return words;
}

std::vector<std::string> command_form(const std::string& text) {
  if (auto words = exec_form(text)) return *words;
  return {"/bin/sh", "-c", text};
}

std::vector<std::string> blank_separated(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    text = trim(text);
    if (text.empty()) return words;
    std::size_t end = 0;
    while (end < text.size() && !is_blank(text[end])) ++end;
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// Words as a Dockerfile quotes them: '…' literally, "…" and outside with backslash escapes.
Result<std::vector<std::string>> quoted_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote != '\0') {
      if (c == quote)
        quote = '\0';
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (is_blank(c)) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != '\0')
    return fail(Code::kInvalidArgument,
                "unexpected end of statement while looking "
                "for matching {}-quote",
                quote == '"' ? "double" : "single");
  if (in_word) words.push_back(std::move(word));
  return words;
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

// "a=b c=d", or the old form "a the rest".
Result<Pairs> name_values(const Instruction& instruction) {
  const std::string& text = instruction.arguments;
  Pairs pairs;
  auto first = blank_separated(text);
  if (!first.empty() && first[0].find('=') == std::string::npos) {
    if (first.size() < 2)
      return fail(Code::kInvalidArgument, "{} must have two arguments", instruction.name);
    pairs.emplace_back(first[0], trim(std::string_view(text).substr(first[0].size())));
    return pairs;
  }
  ASSIGN_OR_RETURN(auto words, quoted_words(text));
  for (const auto& word : words) {
    auto equals = word.find('=');
    if (equals == std::string::npos) {
      return fail(Code::kInvalidArgument,
                  "Syntax error - can't find = in \"{}\". Must be of the "
                  "form: name=value",
                  word);
    }
    if (equals == 0)
      return fail(Code::kInvalidArgument, "{} names can not be blank", instruction.name);
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

json::Object& object_at(json::Object& config, std::string_view key) {
  auto& value = config[key];
  if (!value.is_object()) value = json::Object();
  return value.get_object();
}

Status apply_env(json::Object& config, const Instruction& instruction) {
  ASSIGN_OR_RETURN(auto pairs, name_values(instruction));
  auto environment = json::strings_or_empty(config, "Env");
  for (const auto& [name, value] : pairs) {
    std::string prefix = name + "=";
    auto known = std::find_if(environment.begin(), environment.end(),
                              [&](const std::string& e) { return e.starts_with(prefix); });
    if (known != environment.end())
      *known = prefix + value;
    else
      environment.push_back(prefix + value);
  }
  config["Env"] = json::from_strings(environment);
  return {};
}

Status apply_label(json::Object& config, const Instruction& instruction) {
  ASSIGN_OR_RETURN(auto pairs, name_values(instruction));
  auto& labels = object_at(config, "Labels");
  for (const auto& [name, value] : pairs) labels[name] = value;
  return {};
}

bool valid_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(std::string(text)) <= 65535;
}

Status apply_expose(json::Object& config, const Instruction& instruction) {
  auto& ports = object_at(config, "ExposedPorts");
  for (const auto& word : blank_separated(instruction.arguments)) {
    auto slash = word.find('/');
    std::string numbers = word.substr(0, slash);
    std::string protocol = slash == std::string::npos ? "tcp" : word.substr(slash + 1);
    auto dash = numbers.find('-');
    std::string first = numbers.substr(0, dash);
    std::string last = dash == std::string::npos ? first : numbers.substr(dash + 1);
    bool valid = valid_port(first) && valid_port(last) && std::stoi(first) <= std::stoi(last) &&
                 (protocol == "tcp" || protocol == "udp" || protocol == "sctp");
    if (!valid) return fail(Code::kInvalidArgument, "invalid containerPort: {}", word);
    for (int port = std::stoi(first); port <= std::stoi(last); ++port)
      ports[fmt::format("{}/{}", port, protocol)] = json::Object();
  }
  return {};
}

Status apply_volume(json::Object& config, const Instruction& instruction) {
  auto paths = exec_form(instruction.arguments).value_or(blank_separated(instruction.arguments));
  auto& volumes = object_at(config, "Volumes");
  for (const auto& path : paths) {
    if (trim(path).empty())
      return fail(Code::kInvalidArgument, "VOLUME specified can not be an empty string");
    volumes[path] = json::Object();
  }
  return {};
}

Status apply_workdir(json::Object& config, const Instruction& instruction) {
  std::string path = instruction.arguments;
  std::string current = json::string_or(config, "WorkingDir");
  if (!path.starts_with('/')) path = (current.empty() ? "/" : current + "/") + path;
  std::vector<std::string_view> parts;
  std::string_view rest = path;
  while (!rest.empty()) {
    auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part != "..")
      parts.push_back(part);
    else if (!parts.empty())
      parts.pop_back();
  }
  config["WorkingDir"] = parts.empty() ? "/" : fmt::format("/{}", fmt::join(parts, "/"));
  return {};
}

// "--interval=5s" and the like, in nanoseconds in the config.
Status apply_health_option(json::Object& health, const std::string& option) {
  auto equals = option.find('=');
  std::string name = option.substr(0, equals);
  std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
  if (name == "--retries") {
    if (!valid_port(value)) return fail(Code::kInvalidArgument, "invalid --retries \"{}\"", value);
    health["Retries"] = std::stoi(value);
    return {};
  }
  static constexpr std::pair<std::string_view, std::string_view> kDurations[] = {
      {"--interval", "Interval"},
      {"--timeout", "Timeout"},
      {"--start-period", "StartPeriod"},
      {"--start-interval", "StartInterval"}};
  for (auto [flag, key] : kDurations) {
    if (name != flag) continue;
    auto duration = parse_go_duration(value);
    if (!duration) return fail(Code::kInvalidArgument, "time: invalid duration \"{}\"", value);
    health[key] = duration->count();
    return {};
  }
  return fail(Code::kInvalidArgument, "unknown flag: {}", name.substr(name.find_first_not_of('-')));
}

Status apply_healthcheck(json::Object& config, const Instruction& instruction) {
  json::Object health;
  std::string_view rest = instruction.arguments;
  while (rest.starts_with("--")) {
    auto end = std::min(rest.find_first_of(" \t"), rest.size());
    RETURN_IF_ERROR(apply_health_option(health, std::string(rest.substr(0, end))));
    rest = trim(rest.substr(end));
  }
  auto [type, command] = split_instruction(rest);
  if (type == "NONE") {
    if (!command.empty())
      return fail(Code::kInvalidArgument, "HEALTHCHECK NONE takes no arguments");
    health = json::Object{{"Test", json::Array{"NONE"}}};
  } else if (type == "CMD") {
    if (command.empty())
      return fail(Code::kInvalidArgument, "missing command after HEALTHCHECK CMD");
    std::vector<std::string> test = {"CMD-SHELL", command};
    if (auto words = exec_form(command)) {
      test = {"CMD"};
      test.insert(test.end(), words->begin(), words->end());
    }
    health["Test"] = json::from_strings(test);
  } else {
    return fail(Code::kInvalidArgument, "unknown type \"{}\" in HEALTHCHECK (try CMD)", type);
  }
  config["Healthcheck"] = std::move(health);
  return {};
}

Status apply_one(json::Object& config, const Instruction& instruction) {
  const auto& [name, arguments] = instruction;
  if (name == "ENV") return apply_env(config, instruction);
  if (name == "LABEL") return apply_label(config, instruction);
  if (name == "EXPOSE") return apply_expose(config, instruction);
  if (name == "VOLUME") return apply_volume(config, instruction);
  if (name == "WORKDIR") return apply_workdir(config, instruction);
  if (name == "HEALTHCHECK") return apply_healthcheck(config, instruction);
  if (name == "CMD" || name == "ENTRYPOINT") {
    config[name == "CMD" ? "Cmd" : "Entrypoint"] = json::from_strings(command_form(arguments));
  } else if (name == "USER") {
    config["User"] = arguments;
  } else if (name == "STOPSIGNAL") {
    config["StopSignal"] = arguments;
  } else if (name == "ONBUILD") {
    auto triggers = json::strings_or_empty(config, "OnBuild");
    triggers.push_back(arguments);
    config["OnBuild"] = json::from_strings(triggers);
  }
  return {};
}

bool known(std::string_view name) {
  static constexpr std::string_view kKnown[] = {"CMD",    "ENTRYPOINT", "ENV",        "EXPOSE",
                                                "LABEL",  "ONBUILD",    "STOPSIGNAL", "USER",
                                                "VOLUME", "WORKDIR",    "HEALTHCHECK"};
  return std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown);
}

}  // namespace

Status apply_changes(json::Object& config, const std::vector<std::string>& changes) {
  for (const auto& change : changes) {
    if (trim(change).empty()) continue;
    auto instruction = split_instruction(change);
    if (!known(instruction.name)) {
      std::string lower = instruction.name;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      return fail(Code::kInvalidArgument, "{} is not a valid change command", lower);
    }
    if (instruction.arguments.empty())
      return fail(Code::kInvalidArgument, "{} requires at least one argument", instruction.name);
    RETURN_IF_ERROR(apply_one(config, instruction));
  }
  return {};
}

}  // namespace holdfast::image
