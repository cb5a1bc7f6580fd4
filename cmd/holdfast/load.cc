#include <memory>

#include "client/terminal.h"
#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {

Command load_command() {
  struct Options {
    std::string input, platform;
    bool quiet = false;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Load an image from a tar archive or STDIN";
  command.examples =
      "  holdfast load -i postgres.tar\n"
      "  zstd -dc images.tar.zst | holdfast load\n";
  command.flags.flag("input", 'i', options->input, "Read from tar archive file, instead of STDIN");
  command.flags.flag("platform", 0, options->platform, "Load only this platform");
  command.flags.flag("quiet", 'q', options->quiet, "Suppress the load output");
  command.run = [options](Cli& cli, const Arguments&) -> Result<int> {
    if (options->input.empty() && client::is_terminal(client::kStdin))
      return fail(Code::kInvalidArgument, "requested load from stdin, but stdin is empty");
    client::Request request;
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-tar");
    ASSIGN_OR_RETURN(request.source, open_source(options->input));
    // Without a terminal the daemon is asked for no progress at all, as Docker's client does.
    bool quiet = options->quiet || !client::is_terminal(client::kStdout);
    Query query{{"quiet", quiet ? "1" : "0"}};
    if (!options->platform.empty()) query.emplace_back("platform", options->platform);
    ASSIGN_OR_RETURN(auto response, cli.engine().open(std::move(request), "/images/load", query));
    RETURN_IF_ERROR(show_progress(cli, std::move(response), ProgressTo::kStdout));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
