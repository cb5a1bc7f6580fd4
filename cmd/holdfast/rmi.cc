#include <memory>

#include "client/image_reference.h"
#include "verbs.h"

namespace holdfast::cli {

Command rmi_command() {
  struct Options {
    bool force = false, no_prune = false;
    std::string platform;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] IMAGE [IMAGE...]";
  command.summary = "Remove one or more images";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("force", 'f', options->force, "Force removal of the image");
  command.flags.flag("no-prune", 0, options->no_prune, "Do not delete untagged parents");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query;
    if (options->force) query.emplace_back("force", "1");
    if (options->no_prune) query.emplace_back("noprune", "1");
    bool failed = false;
    for (const auto& image : arguments) {
      auto removed = cli.engine().remove("/images/" + client::url_escape(image), query);
      if (!removed) {
        cli.err(removed.error().message + "\n");
        // With -f an image that isn't there is as good as removed.
        if (!options->force || removed.error().code != Code::kNotFound) failed = true;
        continue;
      }
      for (const auto& item : removed->is_array() ? removed->get_array() : json::Array{}) {
        if (!item.is_object()) continue;
        if (auto id = json::string_or(item.get_object(), "Deleted"); !id.empty())
          cli.out(fmt::format("Deleted: {}\n", id));
        else
          cli.out(fmt::format("Untagged: {}\n", json::string_or(item.get_object(), "Untagged")));
      }
    }
    return failed ? 1 : 0;
  };
  return command;
}

Command tag_command() {
  Command command;
  command.arguments = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]";
  command.summary = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE";
  command.min_arguments = command.max_arguments = 2;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    auto target = client::parse_image_reference(arguments[1]);
    if (!target)
      return fail(Code::kInvalidArgument,
                  "Error parsing reference: \"{}\" is not a valid repository/tag: {}", arguments[1],
                  target.error().message);
    if (!target->digest.empty())
      return fail(Code::kInvalidArgument, "refusing to create a tag with a digest reference");
    RETURN_IF_ERROR(cli.engine().post(
        fmt::format("/images/{}/tag", client::url_escape(arguments[0])),
        {{"repo", target->name}, {"tag", target->tag.empty() ? "latest" : target->tag}}));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
