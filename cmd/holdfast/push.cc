#include <memory>

#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {

Command push_command() {
  struct Options {
    bool all = false, quiet = false, trust = true;
    std::string platform;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] NAME[:TAG]";
  command.summary = "Upload an image to a registry";
  command.examples =
      "  holdfast tag app localhost:5000/team/app:1.2\n"
      "  holdfast push localhost:5000/team/app:1.2\n";
  command.min_arguments = command.max_arguments = 1;
  command.flags.flag("all-tags", 'a', options->all, "Push all tags of an image to the repository");
  command.flags.flag("platform", 0, options->platform, "Push only this platform of the image");
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
    client::Request request;
    request.method = "POST";
    ASSIGN_OR_RETURN(request.headers, registry_headers(cli, image));
    Query query{{"tag", image.tag}};
    if (!options->platform.empty()) query.emplace_back("platform", options->platform);
    // The name's slashes are part of the route.
    ASSIGN_OR_RETURN(
        auto response,
        cli.engine().open(std::move(request), fmt::format("/images/{}/push", image.name), query));
    RETURN_IF_ERROR(show_progress(cli, std::move(response),
                                  options->quiet ? ProgressTo::kNowhere : ProgressTo::kStdout));
    if (options->quiet) cli.out(image.canonical() + "\n");
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
