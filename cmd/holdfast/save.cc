#include <memory>

#include "client/terminal.h"
#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {

Command save_command() {
  struct Options {
    std::string output, platform;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] IMAGE [IMAGE...]";
  command.summary = "Save one or more images to a tar archive (streamed to STDOUT by default)";
  command.examples =
      "  holdfast save -o postgres.tar postgres:15\n"
      "  holdfast save busybox alpine | zstd > images.tar.zst\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("output", 'o', options->output, "Write to a file, instead of STDOUT");
  command.flags.flag("platform", 0, options->platform, "Save only the given platform");
  command.run = [options](Cli& cli, const Arguments& images) -> Result<int> {
    if (options->output.empty() && client::is_terminal(client::kStdout))
      return fail(Code::kInvalidArgument,
                  "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    Query query;
    for (const auto& image : images) query.emplace_back("names", image);
    if (!options->platform.empty()) query.emplace_back("platform", options->platform);
    ASSIGN_OR_RETURN(auto response, cli.engine().open({}, "/images/get", query));
    RETURN_IF_ERROR(save_body(cli, std::move(response), options->output));
    return 0;
  };
  return command;
}

Command export_command() {
  auto output = std::make_shared<std::string>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER";
  command.summary = "Export a container's filesystem as a tar archive";
  command.examples = "  holdfast export -o web.tar web   # volumes are not part of it\n";
  command.min_arguments = command.max_arguments = 1;
  command.flags.flag("output", 'o', *output, "Write to a file, instead of STDOUT");
  command.run = [output](Cli& cli, const Arguments& arguments) -> Result<int> {
    if (output->empty() && client::is_terminal(client::kStdout))
      return fail(Code::kInvalidArgument,
                  "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    auto path = fmt::format("/containers/{}/export", client::url_escape(arguments[0]));
    ASSIGN_OR_RETURN(auto response, cli.engine().open({}, path));
    RETURN_IF_ERROR(save_body(cli, std::move(response), *output));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
