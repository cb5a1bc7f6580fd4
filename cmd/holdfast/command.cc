#include "command.h"

#include <algorithm>

namespace holdfast::cli {
namespace {

struct Group {
  std::string_view name, summary;
};
constexpr Group kGroups[] = {
    {"container", "Manage containers"}, {"image", "Manage images"},
    {"network", "Manage networks"},     {"plugin", "Manage plugins"},
    {"secret", "Manage secrets"},       {"system", "Manage Holdfast"},
    {"volume", "Manage volumes"},
};
constexpr std::string_view kCommon[] = {"run",    "exec",  "ps",     "pull",    "push",
                                        "images", "login", "logout", "version", "info"};

std::string join(const Arguments& words, std::size_t count) {
  return fmt::format("{}", fmt::join(words.begin(), words.begin() + static_cast<long>(count), " "));
}

std::string command_help(const std::string& path, const CommandEntry& entry,
                         const Command& command) {
  std::string text =
      fmt::format("Usage:  holdfast {}{}{}\n\n{}\n", path, command.arguments.empty() ? "" : " ",
                  command.arguments, command.summary);
  if (entry.names.size() > 1) {
    text += "\nAliases:\n  ";
    for (std::size_t i = 0; i < entry.names.size(); ++i)
      text += fmt::format("{}holdfast {}", i ? ", " : "", entry.names[i]);
    text += '\n';
  }
  if (auto options = command.flags.describe(); !options.empty()) text += "\nOptions:\n" + options;
  if (!command.examples.empty()) text += "\nExamples:\n" + command.examples;
  return text;
}

std::string group_help(const Group& group) {
  std::string text =
      fmt::format("Usage:  holdfast {} COMMAND\n\n{}\n\nCommands:\n", group.name, group.summary);
  std::vector<std::pair<std::string, std::string>> lines;
  for (const auto& entry : command_table()) {
    for (auto name : entry.names) {
      if (!name.starts_with(group.name) || name.size() <= group.name.size() ||
          name[group.name.size()] != ' ')
        continue;
      lines.emplace_back(name.substr(group.name.size() + 1), entry.make().summary);
      break;
    }
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& [name, summary] : lines) text += fmt::format("  {:<11} {}\n", name, summary);
  return text +
         fmt::format("\nRun 'holdfast {} COMMAND --help' for more information on a command.\n",
                     group.name);
}

const Group* find_group(std::string_view name) {
  for (const auto& group : kGroups)
    if (group.name == name) return &group;
  return nullptr;
}

// Docker's words for a wrong number of arguments; empty when it is right.
std::string argument_error(const std::string& path, const Command& command, std::size_t got) {
  if (got >= command.min_arguments && got <= command.max_arguments) return {};
  auto count = [](std::size_t n) { return fmt::format("{} argument{}", n, n == 1 ? "" : "s"); };
  std::string what;
  if (command.max_arguments == 0)
    what = "accepts no arguments";
  else if (command.min_arguments == command.max_arguments)
    what = "requires " + count(command.min_arguments);
  else if (got < command.min_arguments)
    what = "requires at least " + count(command.min_arguments);
  else
    what = "requires at most " + count(command.max_arguments);
  return fmt::format("holdfast: 'holdfast {}' {}\n", path, what);
}

std::string usage_hint(const std::string& path, const Command& command) {
  return fmt::format("\nUsage:  holdfast {} {}\n\nRun 'holdfast {} --help' for more information\n",
                     path, command.arguments, path);
}

int run_group(Cli& cli, const Arguments& words) {
  const Group* group = find_group(words[0]);
  bool help = words.size() == 1 || words[1] == "--help" || words[1] == "-h";
  if (group && help) {
    cli.out(group_help(*group));
    return 0;
  }
  std::string path = group ? words[0] + " " + words[1] : words[0];
  std::string scope = group ? words[0] + " " : "";
  cli.err(fmt::format(
      "holdfast: unknown command: holdfast {}\n\n{}Run 'holdfast {}--help' for more "
      "information\n",
      path, group ? fmt::format("Usage:  holdfast {} COMMAND\n\n", words[0]) : "", scope));
  return 1;
}

}  // namespace

FoundCommand find_command(const Arguments& words) {
  for (std::size_t count = std::min<std::size_t>(words.size(), 2); count > 0; --count) {
    std::string path = join(words, count);
    for (const auto& entry : command_table())
      if (std::find(entry.names.begin(), entry.names.end(), path) != entry.names.end())
        return {&entry, count};
  }
  return {};
}

int run_command_line(Cli& cli, const Arguments& words) {
  auto [entry, used] = find_command(words);
  if (!entry) return run_group(cli, words);
  std::string path = join(words, used);
  Command command = entry->make();
  auto arguments = command.flags.parse({words.begin() + static_cast<long>(used), words.end()},
                                       command.stop_at_first_argument);
  if (!arguments) {
    cli.err(arguments.error().message + "\n" + usage_hint(path, command));
    return 125;
  }
  if (command.flags.help_wanted()) {
    cli.out(command_help(path, *entry, command));
    return 0;
  }
  if (auto problem = argument_error(path, command, arguments->size()); !problem.empty()) {
    cli.err(problem + usage_hint(path, command));
    return 1;
  }
  auto code = command.run(cli, *arguments);
  if (code) return *code;
  cli.err(code.error().message + "\n");
  return 1;
}

std::string overview(const std::string& options) {
  std::string text =
      "Usage:  holdfast [OPTIONS] COMMAND\n\nContainers whose data outlives them\n\nCommon "
      "Commands:\n";
  auto line = [](std::string_view name, std::string_view summary) {
    return fmt::format("  {:<11} {}\n", name, summary);
  };
  for (auto name : kCommon)
    text += line(name, find_command({std::string(name)}).entry->make().summary);
  text += "\nManagement Commands:\n";
  for (const auto& group : kGroups) text += line(group.name, group.summary);
  text += "\nCommands:\n";
  std::vector<std::string> lines;
  for (const auto& entry : command_table()) {
    auto name = entry.names[0];
    bool common = std::find(std::begin(kCommon), std::end(kCommon), name) != std::end(kCommon);
    if (!common && name.find(' ') == std::string_view::npos)
      lines.push_back(line(name, entry.make().summary));
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& each : lines) text += each;
  return text + "\nGlobal Options:\n" + options +
         "\nRun 'holdfast COMMAND --help' for more information on a command.\n";
}

}  // namespace holdfast::cli
