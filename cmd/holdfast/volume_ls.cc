// volume ls.
#include <algorithm>
#include <memory>

#include "base/size_text.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct Options {
  bool quiet = false, size = false;
  std::string format, wait;
  wire::Filters filters;
};

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
                   {"LastUsed", last_used_text(volume)},
                   {"Availability", "N/A"},
                   {"Group", "N/A"},
                   {"Status", "N/A"}},
                  labels);
}

Result<json::Value> ask(Cli& cli, const Options& options) {
  Query query;
  add_filters(query, options.filters);
  if (!options.size) return cli.engine().get("/volumes", query);
  query.emplace_back("size", "1");
  if (!options.wait.empty()) query.emplace_back("wait", options.wait);
  return cli.engine().get("/holdfast/v1/volumes", query);
}

client::ListFormat list_format(bool size) {
  client::ListFormat list;
  list.table = size ? "{{.Driver}}\t{{.Name}}\t{{.Size}}\t{{.Links}}\t{{.LastUsed}}"
                    : "{{.Driver}}\t{{.Name}}";
  list.quiet = "{{.Name}}";
  list.headings = {{"Name", "VOLUME NAME"}, {"Driver", "DRIVER"},
                   {"Scope", "SCOPE"},      {"Mountpoint", "MOUNTPOINT"},
                   {"Labels", "LABELS"},    {"Links", "LINKS"},
                   {"Size", "SIZE"},        {"LastUsed", "LAST USED"},
                   {"Group", "GROUP"},      {"Availability", "AVAILABILITY"},
                   {"Status", "STATUS"}};
  return list;
}

Result<int> run(Cli& cli, const Options& options) {
  ASSIGN_OR_RETURN(auto answer, ask(cli, options));
  std::vector<const json::Object*> volumes;
  if (answer.is_object()) {
    for (const auto& volume : json::array_or_empty(answer.get_object(), "Volumes"))
      if (volume.is_object()) volumes.push_back(&volume.get_object());
    for (const auto& warning : json::strings_or_empty(answer.get_object(), "Warnings"))
      cli.err("WARNING: " + warning + "\n");
  }
  std::sort(volumes.begin(), volumes.end(), [](const json::Object* a, const json::Object* b) {
    return json::string_or(*a, "Name") < json::string_or(*b, "Name");
  });
  std::vector<client::TemplateData> rows;
  for (const auto* volume : volumes) rows.push_back(volume_row(*volume));
  std::string format = options.format.empty() && !options.quiet && !options.size
                           ? cli.config().text("volumesFormat")
                           : options.format;
  RETURN_IF_ERROR(
      print_list(cli, format, options.quiet, list_format(options.size), std::move(rows)));
  return 0;
}

}  // namespace

std::string last_used_text(const json::Object& volume) {
  auto time = parse_rfc3339(json::string_or(volume, "LastUsed"));
  return time ? ago(*time) : "never";
}

Command volume_ls_command() {
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List volumes";
  command.examples =
      "  holdfast volume ls --filter dangling=true      # volumes no container uses\n"
      "  holdfast volume ls --size --wait 10s           # what they take, who uses them\n"
      "  holdfast volume ls --filter 'name=^pg' --filter label=app\n"
      "  holdfast volume ls --format '{{.Name}}: {{.Mountpoint}}'\n";
  add_filter_flag(command.flags, 'f', options->filters,
                  "Provide filter values (e.g. \"dangling=true\")");
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("quiet", 'q', options->quiet, "Only display volume names");
  command.flags.flag("size", 's', options->size,
                     "Display sizes, numbers of users and last uses, too");
  command.flags.flag("wait", 0, options->wait,
                     "With --size, how long to count (default 2s); what takes longer is N/A",
                     "duration");
  command.run = [options](Cli& cli, const Arguments&) { return run(cli, *options); };
  return command;
}

}  // namespace holdfast::cli
