#include <iostream>
#include <memory>

#include "client/terminal.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct LoginOptions {
  std::string username, password;
  bool password_from_stdin = false;
};

std::string registry_of(const Arguments& arguments) {
  std::string registry = arguments.empty() ? "docker.io" : arguments[0];
  for (std::string_view scheme : {"https://", "http://"})
    if (registry.starts_with(scheme)) registry.erase(0, scheme.size());
  while (registry.ends_with('/')) registry.pop_back();
  return registry;
}

std::string ask(Cli& cli, std::string_view question) {
  cli.out(question);
  cli.flush();
  std::string answer;
  std::getline(std::cin, answer);
  while (answer.ends_with('\r') || answer.ends_with('\n')) answer.pop_back();
  return answer;
}

Status complete(Cli& cli, LoginOptions& options) {
  if (options.password_from_stdin) {
    if (!options.password.empty())
      return fail(Code::kInvalidArgument, "--password and --password-stdin are mutually exclusive");
    if (options.username.empty())
      return fail(Code::kInvalidArgument,
                  "the --password-stdin option requires --username to be set");
    options.password = ask(cli, "");
    return {};
  }
  bool terminal = client::is_terminal(client::kStdin);
  if ((options.username.empty() || options.password.empty()) && !terminal)
    return fail(Code::kInvalidArgument,
                "Error: Cannot perform an interactive login from a non TTY device");
  if (options.username.empty()) options.username = ask(cli, "Username: ");
  if (options.username.empty()) return fail(Code::kInvalidArgument, "username is required");
  if (options.password.empty()) {
    client::EchoOff quiet(client::kStdin);
    options.password = ask(cli, "Password: ");
    cli.out("\n");
  }
  if (options.password.empty()) return fail(Code::kInvalidArgument, "password is required");
  return {};
}

Result<int> login(Cli& cli, LoginOptions options, const Arguments& arguments) {
  RETURN_IF_ERROR(complete(cli, options));
  std::string registry = registry_of(arguments);
  wire::RegistryAuth auth{options.username, options.password, registry, "", ""};
  json::Object body{
      {"username", auth.username}, {"password", auth.password}, {"serveraddress", registry}};
  ASSIGN_OR_RETURN(auto answer, cli.engine().post("/auth", {}, body));
  if (answer.is_object()) {
    auto token = json::string_or(answer.get_object(), "IdentityToken");
    if (!token.empty()) {
      auth.password.clear();
      auth.identity_token = token;
    }
  }
  RETURN_IF_ERROR(cli.config().store(registry, auth));
  cli.out("Login Succeeded\n");
  return 0;
}

}  // namespace

Command login_command() {
  auto options = std::make_shared<LoginOptions>();
  Command command;
  command.arguments = "[OPTIONS] [SERVER]";
  command.summary = "Authenticate to a registry";
  command.examples = "  echo \"$TOKEN\" | holdfast login -u joe --password-stdin registry:5000\n";
  command.max_arguments = 1;
  command.flags.flag("password", 'p', options->password, "Password or Personal Access Token (PAT)");
  command.flags.flag("password-stdin", 0, options->password_from_stdin,
                     "Take the Password or Personal Access Token (PAT) from stdin");
  command.flags.flag("username", 'u', options->username, "Username");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return login(cli, *options, arguments);
  };
  return command;
}

Command logout_command() {
  Command command;
  command.arguments = "[SERVER]";
  command.summary = "Log out from a registry";
  command.max_arguments = 1;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    std::string registry = registry_of(arguments);
    ASSIGN_OR_RETURN(bool erased, cli.config().erase(registry));
    cli.out(erased ? fmt::format("Removing login credentials for {}\n", registry)
                   : fmt::format("Not logged in to {}\n", registry));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
