#include <memory>

#include "client/run/value_specs.h"
#include "client/terminal.h"
#include "container_session.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct ExecOptions {
  bool detach = false, interactive = false, tty = false, privileged = false;
  std::string user, workdir, detach_keys;
  std::vector<std::string> environment, environment_files;
};

Result<json::Object> exec_config(const ExecOptions& options, const std::string& keys,
                                 const Arguments& command) {
  std::vector<std::string> environment;
  for (const auto& path : options.environment_files) {
    ASSIGN_OR_RETURN(auto pairs, client::read_pairs_file(path, true));
    environment.insert(environment.end(), pairs.begin(), pairs.end());
  }
  for (const auto& text : options.environment) {
    RETURN_IF_ERROR(client::check_environment(text));
    environment.push_back(client::resolve_environment(text));
  }
  json::Object config{{"User", options.user},
                      {"Privileged", options.privileged},
                      {"Tty", options.tty},
                      {"AttachStdin", options.interactive && !options.detach},
                      {"AttachStdout", !options.detach},
                      {"AttachStderr", !options.detach},
                      {"Detach", options.detach},
                      {"DetachKeys", keys},
                      {"WorkingDir", options.workdir},
                      {"Env", json::from_strings(environment)},
                      {"Cmd", json::from_strings(command)}};
  auto size = options.tty ? client::window_size(client::kStdout) : std::nullopt;
  if (size) config["ConsoleSize"] = json::Array{size->rows, size->columns};
  return config;
}

Result<int> exec_attached(Cli& cli, const ExecOptions& options, const std::string& id,
                          const std::string& keys) {
  json::Object start{{"Detach", false}, {"Tty", options.tty}};
  auto size = options.tty ? client::window_size(client::kStdout) : std::nullopt;
  if (size && cli.engine().speaks("1.42"))
    start["ConsoleSize"] = json::Array{size->rows, size->columns};
  ASSIGN_OR_RETURN(auto hijacked,
                   cli.engine().hijack(fmt::format("/exec/{}/start", id), {}, start));
  client::SessionOptions session;
  session.tty = options.tty;
  session.input = options.interactive;
  session.detach_keys = keys;
  if (options.tty) session.resize = resizer(cli, fmt::format("/exec/{}/resize", id));
  cli.flush();
  {
    ASSIGN_OR_RETURN(auto running, client::Session::start(std::move(session)));
    running.send_size();
    ASSIGN_OR_RETURN(auto end, running.pump(hijacked.stream));
    if (end == client::Session::End::kDetached) {
      running.restore_terminal();
      cli.err("read escape sequence\n");
      return 1;
    }
  }
  ASSIGN_OR_RETURN(auto inspected, cli.engine().get(fmt::format("/exec/{}/json", id)));
  if (!inspected.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  return static_cast<int>(json::int_or(inspected.get_object(), "ExitCode"));
}

Result<int> exec(Cli& cli, const ExecOptions& options, const Arguments& arguments) {
  if (options.tty && options.interactive && !options.detach && !client::is_terminal(client::kStdin))
    return fail(Code::kInvalidArgument, "the input device is not a TTY");
  std::string keys = detach_keys(cli, options.detach_keys);
  ASSIGN_OR_RETURN(auto config,
                   exec_config(options, keys, {arguments.begin() + 1, arguments.end()}));
  ASSIGN_OR_RETURN(
      auto created,
      cli.engine().post(fmt::format("/containers/{}/exec", url_escape(arguments[0])), {}, config));
  std::string id = created.is_object() ? json::string_or(created.get_object(), "Id") : "";
  if (id.empty()) return fail(Code::kInternal, "exec ID empty");
  if (!options.detach) return exec_attached(cli, options, id, keys);
  json::Object start{{"Detach", true}, {"Tty", options.tty}};
  RETURN_IF_ERROR(cli.engine().post(fmt::format("/exec/{}/start", id), {}, start));
  return 0;
}

}  // namespace

Command exec_command() {
  auto options = std::make_shared<ExecOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER COMMAND [ARG...]";
  command.summary = "Execute a command in a running container";
  command.examples =
      "  holdfast exec -it db psql -U postgres\n"
      "  holdfast exec -w /app -e DEBUG=1 web npm test\n";
  command.min_arguments = 2;
  command.max_arguments = kAnyNumber;
  command.stop_at_first_argument = true;
  auto& flags = command.flags;
  flags.flag("detach", 'd', options->detach, "Detached mode: run command in the background");
  flags.flag("detach-keys", 0, options->detach_keys,
             "Override the key sequence for detaching a container");
  flags.flag("env", 'e', options->environment, "Set environment variables");
  flags.flag("env-file", 0, options->environment_files, "Read in a file of environment variables");
  flags.flag("interactive", 'i', options->interactive, "Keep STDIN open even if not attached");
  flags.flag("privileged", 0, options->privileged, "Give extended privileges to the command");
  flags.flag("tty", 't', options->tty, "Allocate a pseudo-TTY");
  flags.flag("user", 'u', options->user, "Username or UID (format: \"<name|uid>[:<group|gid>]\")");
  flags.flag("workdir", 'w', options->workdir, "Working directory inside the container");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    auto code = exec(cli, *options, arguments);
    if (!code) {
      cli.err(code.error().message + "\n");
      return start_failure_code(code.error().message) == 125
                 ? 1
                 : start_failure_code(code.error().message);
    }
    return code;
  };
  return command;
}

}  // namespace holdfast::cli
