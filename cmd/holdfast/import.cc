#include <memory>

#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {

Command import_command() {
  struct Options {
    std::vector<std::string> changes;
    std::string message, platform;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]";
  command.summary = "Import the contents from a tarball to create a filesystem image";
  command.examples =
      "  holdfast import rootfs.tar base:1\n"
      "  tar -C rootfs -c . | holdfast import -c 'CMD [\"/bin/sh\"]' - base:2\n";
  command.min_arguments = 1;
  command.max_arguments = 2;
  command.flags.flag("change", 'c', options->changes,
                     "Apply Dockerfile instruction to the created image");
  command.flags.flag("message", 'm', options->message, "Set commit message for imported image");
  command.flags.flag("platform", 0, options->platform,
                     "Set platform if server is multi-platform capable");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    const std::string& from = arguments[0];
    bool remote = from.starts_with("http://") || from.starts_with("https://");
    client::Request request;
    request.method = "POST";
    Query query{{"fromSrc", remote ? from : "-"}};
    if (arguments.size() > 1) query.emplace_back("repo", arguments[1]);
    if (!options->message.empty()) query.emplace_back("message", options->message);
    if (!options->platform.empty()) query.emplace_back("platform", options->platform);
    for (const auto& change : options->changes) query.emplace_back("changes", change);
    if (!remote) {
      request.headers.emplace_back("Content-Type", "application/x-tar");
      ASSIGN_OR_RETURN(request.source, open_source(from == "-" ? "" : from));
    }
    ASSIGN_OR_RETURN(auto response, cli.engine().open(std::move(request), "/images/create", query));
    RETURN_IF_ERROR(show_progress(cli, std::move(response), ProgressTo::kStdout));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
