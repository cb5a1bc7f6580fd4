// volume create, rename, rm, update; ls is in volume_ls.cc, inspect in inspect.cc, prune in
// prune.cc.
#include <memory>

#include "client/run/value_specs.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

// "name=value" or "name" of repeated flags, as the members of a change; null takes away.
json::Object change_of(const std::vector<std::string>& set, const std::vector<std::string>& gone) {
  json::Object change = client::pairs_to_object(set);
  for (const auto& name : gone) change[name] = nullptr;
  return change;
}

}  // namespace

Command volume_create_command() {
  struct Options {
    std::string driver = "local", name, size;
    std::vector<std::string> labels, options;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] [VOLUME]";
  command.summary = "Create a volume";
  command.examples =
      "  holdfast volume create --size 20g pgdata\n"
      "  holdfast volume create --label app=web -o type=tmpfs -o device=tmpfs -o o=size=64m "
      "scratch\n"
      "  holdfast volume create -o type=nfs -o o=addr=10.0.0.9,rw -o device=:/export/data shared\n";
  command.max_arguments = 1;
  command.flags.flag("driver", 'd', options->driver,
                     "Specify volume driver name (default \"local\")");
  command.flags.add({"label", 0, "list", "Set metadata for a volume",
                     [options](std::string_view value) -> Status {
                       RETURN_IF_ERROR(client::check_label(value));
                       options->labels.emplace_back(value);
                       return {};
                     }});
  command.flags.flag("opt", 'o', options->options, "Set driver specific options", "map");
  command.flags.flag("size", 0, options->size, "Limit its size, as the option \"size\" does");
  command.flags.flag("name", 0, options->name, "Specify volume name");
  command.flags.hide("name");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    std::string name = options->name;
    if (!arguments.empty() && !name.empty())
      return fail(Code::kInvalidArgument,
                  "conflicting options: cannot specify a volume-name through both --name and as a "
                  "positional arg");
    if (!arguments.empty()) name = arguments[0];
    json::Object driver_options = client::pairs_to_object(options->options);
    if (!options->size.empty()) driver_options["size"] = options->size;
    json::Object body{{"Name", name},
                      {"Driver", options->driver},
                      {"DriverOpts", std::move(driver_options)},
                      {"Labels", client::pairs_to_object(options->labels)}};
    ASSIGN_OR_RETURN(auto answer, cli.engine().post("/volumes/create", {}, body));
    if (answer.is_object()) cli.out(json::string_or(answer.get_object(), "Name") + "\n");
    return 0;
  };
  return command;
}

Command volume_rm_command() {
  auto force = std::make_shared<bool>();
  Command command;
  command.arguments = "[OPTIONS] VOLUME [VOLUME...]";
  command.summary =
      "Remove one or more volumes. You cannot remove a volume that is in use by a container.";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("force", 'f', *force, "Force the removal of one or more volumes");
  command.run = [force](Cli& cli, const Arguments& arguments) -> Result<int> {
    Query query;
    if (*force) query.emplace_back("force", "1");
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().remove("/volumes/" + client::url_escape(name), query));
      return {};
    });
  };
  return command;
}

Command volume_update_command() {
  struct Options {
    std::vector<std::string> labels, labels_gone, options, options_gone;
    std::string size;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] VOLUME [VOLUME...]";
  command.summary = "Change labels, options or the size limit of one or more volumes";
  command.examples =
      "  holdfast volume update --label-add app=web --label-rm test data\n"
      "  holdfast volume update --size 20g pgdata       # while it is in use, too\n"
      "  holdfast volume update --opt o=addr=10.0.0.7,rw shared\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.add({"label-add", 0, "list", "Add or change a label",
                     [options](std::string_view value) -> Status {
                       RETURN_IF_ERROR(client::check_label(value));
                       options->labels.emplace_back(value);
                       return {};
                     }});
  command.flags.flag("label-rm", 0, options->labels_gone, "Remove a label");
  command.flags.flag("opt", 'o', options->options, "Set driver specific options", "map");
  command.flags.flag("opt-rm", 0, options->options_gone, "Remove a driver specific option");
  command.flags.flag("size", 0, options->size, "Set the size limit, the option \"size\"");
  command.run = [options](Cli& cli, const Arguments& names) -> Result<int> {
    json::Object changed = change_of(options->options, options->options_gone);
    if (!options->size.empty()) changed["size"] = options->size;
    json::Object body{{"Labels", change_of(options->labels, options->labels_gone)},
                      {"Options", std::move(changed)}};
    if (body["Labels"].get_object().empty() && body["Options"].get_object().empty())
      return fail(Code::kInvalidArgument,
                  "you must provide one or more flags when using this command");
    return for_each_target(cli, names, [&](const std::string& name) -> Status {
      RETURN_IF_ERROR(cli.engine().patch("/holdfast/v1/volumes/" + client::url_escape(name), body));
      return {};
    });
  };
  return command;
}

Command volume_rename_command() {
  Command command;
  command.arguments = "VOLUME NEW_NAME";
  command.summary =
      "Rename a volume. Containers that don't run follow; an anonymous volume becomes a named one.";
  command.examples = "  holdfast volume rename data data-2025\n";
  command.min_arguments = 2;
  command.max_arguments = 2;
  command.run = [](Cli& cli, const Arguments& names) -> Result<int> {
    auto path = fmt::format("/holdfast/v1/volumes/{}/rename", client::url_escape(names[0]));
    RETURN_IF_ERROR(cli.engine().post(path, {}, json::Object{{"Name", names[1]}}));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
