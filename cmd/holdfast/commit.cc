#include <memory>

#include "client/image_reference.h"
#include "verbs.h"

namespace holdfast::cli {

Command commit_command() {
  struct Options {
    std::string author, message;
    std::vector<std::string> changes;
    bool pause = true;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]";
  command.summary = "Create a new image from a container's changes";
  command.examples =
      "  holdfast commit -c 'CMD [\"sh\"]' web web:patched   # volumes are not part of it\n";
  command.min_arguments = 1;
  command.max_arguments = 2;
  command.flags.flag("author", 'a', options->author, "Author (e.g., \"Jane <jane@example.com>\")");
  command.flags.flag("change", 'c', options->changes,
                     "Apply Dockerfile instruction to the created image");
  command.flags.flag("message", 'm', options->message, "Commit message");
  command.flags.flag("pause", 'p', options->pause, "Pause container during commit");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query = {{"container", arguments[0]},
                   {"author", options->author},
                   {"comment", options->message},
                   {"pause", options->pause ? "1" : "0"}};
    if (arguments.size() > 1) {
      ASSIGN_OR_RETURN(auto target, client::parse_image_reference(arguments[1]));
      query.emplace_back("repo", target.name);
      query.emplace_back("tag", target.tag);
    }
    for (const auto& change : options->changes) query.emplace_back("changes", change);
    ASSIGN_OR_RETURN(auto made, cli.engine().post("/commit", query));
    if (!made.is_object()) return fail(Code::kInternal, "the engine's answer is no object");
    cli.out(json::string_or(made.get_object(), "Id") + "\n");
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
