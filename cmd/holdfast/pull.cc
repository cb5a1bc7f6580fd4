#include <memory>

#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {

Command pull_command() {
  struct Options {
    bool all = false, quiet = false, trust = true;
    std::string platform;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] NAME[:TAG|@DIGEST]";
  command.summary = "Download an image from a registry";
  command.examples =
      "  holdfast pull postgres:15\n"
      "  holdfast pull localhost:5000/team/app@sha256:…   # exactly these bytes\n"
      "  holdfast pull --platform linux/arm64 alpine\n";
  command.min_arguments = command.max_arguments = 1;
  command.flags.flag("all-tags", 'a', options->all, "Download all tagged images in the repository");
  command.flags.flag("platform", 0, options->platform,
                     "Set platform if server is multi-platform capable");
  command.flags.flag("quiet", 'q', options->quiet, "Suppress verbose output");
  command.flags.flag("disable-content-trust", 0, options->trust, "Accepted for compatibility");
  command.flags.hide("disable-content-trust");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    ASSIGN_OR_RETURN(auto image, client::parse_image_reference(arguments[0]));
    if (options->all && image.has_tag_or_digest())
      return fail(Code::kInvalidArgument, "tag can't be used with --all-tags/-a");
    if (!options->all && !image.has_tag_or_digest()) {
      image.tag = "latest";
      if (!options->quiet) cli.out("Using default tag: latest\n");
    }
    RETURN_IF_ERROR(pull_image(cli, image, options->platform,
                               options->quiet ? ProgressTo::kNowhere : ProgressTo::kStdout));
    cli.out(image.canonical() + "\n");
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
