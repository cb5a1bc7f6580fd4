// volume create, ls, rm; inspect is in inspect.cc, prune in prune.cc.
#include <algorithm>
#include <memory>

#include "base/size_text.h"
#include "client/run/value_specs.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

client::TemplateData volume_row(const json::Object& volume) {
  const auto& labels = json::object_or_empty(volume, "Labels");
  const auto* usage = json::find(volume, "UsageData");
  std::string links = "N/A";
  std::string size = "N/A";
  if (usage && usage->is_object()) {
    links = fmt::format("{}", json::int_or(usage->get_object(), "RefCount", -1));
    if (auto bytes = json::int_or(usage->get_object(), "Size", -1); bytes >= 0)
      size = human_size(static_cast<double>(bytes));
  }
  return make_row({{"Name", json::string_or(volume, "Name")},
                   {"Driver", json::string_or(volume, "Driver")},
                   {"Scope", json::string_or(volume, "Scope")},
                   {"Mountpoint", json::string_or(volume, "Mountpoint")},
                   {"Labels", pairs_text(labels)},
                   {"Links", links},
                   {"Size", size},
                   {"Availability", "N/A"},
                   {"Group", "N/A"},
                   {"Status", "N/A"}},
                  labels);
}

}  // namespace

Command volume_ls_command() {
  struct Options {
    bool quiet = false;
    std::string format;
    wire::Filters filters;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List volumes";
  command.examples =
      "  holdfast volume ls --filter dangling=true      # volumes no container uses\n"
      "  holdfast volume ls --format '{{.Name}}: {{.Mountpoint}}'\n";
  add_filter_flag(command.flags, 'f', options->filters,
                  "Provide filter values (e.g. \"dangling=true\")");
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("quiet", 'q', options->quiet, "Only display volume names");
  command.run = [options](Cli& cli, const Arguments&) -> Result<int> {
    Query query;
    add_filters(query, options->filters);
    ASSIGN_OR_RETURN(auto answer, cli.engine().get("/volumes", query));
    std::vector<const json::Object*> volumes;
    if (answer.is_object())
      for (const auto& volume : json::array_or_empty(answer.get_object(), "Volumes"))
        if (volume.is_object()) volumes.push_back(&volume.get_object());
    std::sort(volumes.begin(), volumes.end(), [](const json::Object* a, const json::Object* b) {
      return json::string_or(*a, "Name") < json::string_or(*b, "Name");
    });
    std::vector<client::TemplateData> rows;
    for (const auto* volume : volumes) rows.push_back(volume_row(*volume));
    client::ListFormat list;
    list.table = "{{.Driver}}\t{{.Name}}";
    list.quiet = "{{.Name}}";
    list.headings = {{"Name", "VOLUME NAME"}, {"Driver", "DRIVER"},
                     {"Scope", "SCOPE"},      {"Mountpoint", "MOUNTPOINT"},
                     {"Labels", "LABELS"},    {"Links", "LINKS"},
                     {"Size", "SIZE"},        {"Availability", "AVAILABILITY"},
                     {"Group", "GROUP"},      {"Status", "STATUS"}};
    std::string format = options->format.empty() && !options->quiet
                             ? cli.config().text("volumesFormat")
                             : options->format;
    RETURN_IF_ERROR(print_list(cli, format, options->quiet, list, std::move(rows)));
    return 0;
  };
  return command;
}

Command volume_create_command() {
  struct Options {
    std::string driver = "local", name;
    std::vector<std::string> labels, options;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] [VOLUME]";
  command.summary = "Create a volume";
  command.examples =
      "  holdfast volume create pgdata\n"
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
  command.flags.flag("name", 0, options->name, "Specify volume name");
  command.flags.hide("name");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    std::string name = options->name;
    if (!arguments.empty() && !name.empty())
      return fail(Code::kInvalidArgument,
                  "conflicting options: cannot specify a volume-name through both --name and as a "
                  "positional arg");
    if (!arguments.empty()) name = arguments[0];
    json::Object body{{"Name", name},
                      {"Driver", options->driver},
                      {"DriverOpts", client::pairs_to_object(options->options)},
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

}  // namespace holdfast::cli
