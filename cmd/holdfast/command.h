#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "cli.h"
#include "client/flags.h"

namespace holdfast::cli {

// One verb: its usage, options and what it does. Made anew for every run, by the function the
// command table names; the options live in what `run` has captured.
struct Command {
  std::string arguments;  // "[OPTIONS] CONTAINER [CONTAINER...]"
  std::string summary;
  std::string examples;  // lines "command   # what it does", shown by --help
  std::size_t min_arguments = 0;
  std::size_t max_arguments = 0;
  bool stop_at_first_argument = false;  // options end where the arguments begin: run, exec, create
  client::FlagSet flags;
  // The exit code. An error is printed as it is, and makes it 1.
  std::function<Result<int>(Cli&, const Arguments&)> run;
};

constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

// A row of the command table: the ways to spell a verb, the usual one first.
struct CommandEntry {
  std::vector<std::string_view> names;
  Command (*make)();
};

const std::vector<CommandEntry>& command_table();

// The entry for the longest spelling that `words` begin with, and how many words that took.
struct FoundCommand {
  const CommandEntry* entry = nullptr;
  std::size_t words = 0;
};
FoundCommand find_command(const Arguments& words);

// Runs `words` ("container", "ls", "-a"): finds the command, parses, prints help or usage errors,
// and returns the exit code.
int run_command_line(Cli& cli, const Arguments& words);

// The overview that `holdfast --help` prints; `options` describes the global ones.
std::string overview(const std::string& options);

}  // namespace holdfast::cli
