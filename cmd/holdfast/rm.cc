#include <memory>

#include "verbs.h"

namespace holdfast::cli {

Command rm_command() {
  struct Options {
    bool force = false, volumes = false, link = false;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [CONTAINER...]";
  command.summary = "Remove one or more containers";
  command.examples =
      "  holdfast rm db              # a stopped container; its named volumes stay\n"
      "  holdfast rm -f -v web       # kill it first, and remove its anonymous volumes too\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("force", 'f', options->force,
                     "Force the removal of a running container (uses SIGKILL)");
  command.flags.flag("volumes", 'v', options->volumes,
                     "Remove anonymous volumes associated with the container");
  command.flags.flag("link", 'l', options->link, "Remove the specified link");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query;
    if (options->force) query.emplace_back("force", "1");
    if (options->volumes) query.emplace_back("v", "1");
    if (options->link) query.emplace_back("link", "1");
    auto remove = [&](const std::string& name) -> Status {
      std::string target = name.starts_with('/') ? name.substr(1) : name;
      if (target.empty()) return fail(Code::kInvalidArgument, "Container name cannot be empty");
      auto removed = cli.engine().remove("/containers/" + client::url_escape(target), query);
      if (!removed && options->force && removed.error().code == Code::kNotFound) {
        cli.err(removed.error().message + "\n");  // said, but no failure
        return {};
      }
      if (!removed) return tl::unexpected(std::move(removed).error());
      cli.out(name + "\n");
      return {};
    };
    return for_each_target(cli, arguments, remove, false);
  };
  return command;
}

}  // namespace holdfast::cli
