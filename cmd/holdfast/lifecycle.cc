// The verbs that are one request a container: stop, restart, kill, pause, unpause, rename, wait.
#include <memory>

#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

std::string container_path(const std::string& name, std::string_view verb) {
  return fmt::format("/containers/{}/{}", url_escape(name), verb);
}

struct StopOptions {
  std::string signal;
  std::optional<std::int64_t> seconds;
};

// stop and restart differ in nothing but the verb.
Command stopping_command(std::string_view verb, std::string_view summary) {
  auto options = std::make_shared<StopOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [CONTAINER...]";
  command.summary = summary;
  command.examples = fmt::format("  holdfast {} db\n  holdfast {} -t 30 db web\n", verb, verb);
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("signal", 's', options->signal, "Signal to send to the container");
  command.flags.flag("timeout", 't', options->seconds,
                     "Seconds to wait before killing the container (-1: forever)");
  command.flags.flag("time", 0, options->seconds, "");
  command.flags.hide("time");
  command.run = [options, verb](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query;
    if (options->seconds) query.emplace_back("t", fmt::format("{}", *options->seconds));
    if (!options->signal.empty()) query.emplace_back("signal", options->signal);
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().post(container_path(name, verb), query));
      return {};
    });
  };
  return command;
}

Command plain_command(std::string_view verb, std::string_view summary) {
  Command command;
  command.arguments = "CONTAINER [CONTAINER...]";
  command.summary = summary;
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.run = [verb](Cli& cli, const Arguments& arguments) -> Result<int> {
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().post(container_path(name, verb)));
      return {};
    });
  };
  return command;
}

}  // namespace

Command stop_command() { return stopping_command("stop", "Stop one or more running containers"); }
Command restart_command() { return stopping_command("restart", "Restart one or more containers"); }
Command pause_command() {
  return plain_command("pause", "Pause all processes within one or more containers");
}
Command unpause_command() {
  return plain_command("unpause", "Unpause all processes within one or more containers");
}

Command kill_command() {
  auto signal = std::make_shared<std::string>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [CONTAINER...]";
  command.summary = "Kill one or more running containers";
  command.examples = "  holdfast kill db\n  holdfast kill -s HUP web\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("signal", 's', *signal, "Signal to send to the container");
  command.run = [signal](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query;
    if (!signal->empty()) query.emplace_back("signal", *signal);
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().post(container_path(name, "kill"), query));
      return {};
    });
  };
  return command;
}

Command rename_command() {
  Command command;
  command.arguments = "CONTAINER NEW_NAME";
  command.summary = "Rename a container";
  command.min_arguments = command.max_arguments = 2;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    if (arguments[0].empty() || arguments[1].empty())
      return fail(Code::kInvalidArgument, "Error: Neither old nor new names may be empty");
    auto renamed =
        cli.engine().post(container_path(arguments[0], "rename"), {{"name", arguments[1]}});
    if (renamed) return 0;
    cli.err(renamed.error().message + "\n");
    return fail(renamed.error().code, "Error: failed to rename container named {}", arguments[0]);
  };
  return command;
}

Command wait_command() {
  Command command;
  command.arguments = "CONTAINER [CONTAINER...]";
  command.summary = "Block until one or more containers stop, then print their exit codes";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    return for_each_target(
        cli, arguments,
        [&](const std::string& name) -> Status {
          ASSIGN_OR_RETURN(auto result, cli.engine().post(container_path(name, "wait")));
          if (!result.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
          cli.out(fmt::format("{}\n", json::int_or(result.get_object(), "StatusCode")));
          cli.flush();
          return {};
        },
        false);
  };
  return command;
}

}  // namespace holdfast::cli
