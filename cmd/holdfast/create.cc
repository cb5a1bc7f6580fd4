#include <memory>

#include "container_create.h"
#include "verbs.h"

namespace holdfast::cli {

Command create_command() {
  auto options = std::make_shared<client::ContainerOptions>();
  Command command;
  command.arguments = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
  command.summary = "Create a new container";
  command.examples =
      "  holdfast create --name db -v pgdata:/var/lib/postgresql/data postgres\n"
      "  holdfast start db\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.stop_at_first_argument = true;
  options->add_to(command.flags);
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    auto config = check_container(*options, arguments);
    if (!config) {
      cli.err(with_hint("create", config.error()));
      return 125;
    }
    ASSIGN_OR_RETURN(auto id, create_container(cli, *options, arguments[0], std::move(*config)));
    cli.out(id + "\n");
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
