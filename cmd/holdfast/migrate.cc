// migrate: volumes of other engines.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/size_text.h"
#include "client/http_client.h"
#include "image_transfer.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string root, how = "copy", format, wait;
  bool list = false, live = false, yes = false;
};

// What the daemon says of the engine's volumes.
Result<json::Object> ask(Cli& cli, const Options& options, const std::string& path) {
  Query query;
  if (!options.root.empty()) query.emplace_back("root", options.root);
  if (!options.wait.empty()) query.emplace_back("wait", options.wait);
  ASSIGN_OR_RETURN(auto answer, cli.engine().get(path, query));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  return std::move(answer.get_object());
}

std::string note_of(const json::Object& volume) {
  if (auto problem = json::string_or(volume, "Problem"); !problem.empty()) return problem;
  if (auto user = json::string_or(volume, "UsedBy"); !user.empty()) return "in use by " + user;
  return "";
}

std::string size_text(const json::Object& volume) {
  if (json::string_or(volume, "Data").empty()) return "-";
  auto bytes = json::int_or(volume, "Size", -1);
  return bytes < 0 ? "N/A" : human_size(static_cast<double>(bytes));
}

client::TemplateData row_of(const json::Object& volume) {
  const auto& labels = json::object_or_empty(volume, "Labels");
  auto created = parse_rfc3339(json::string_or(volume, "CreatedAt"));
  return make_row({{"Name", json::string_or(volume, "Name")},
                   {"Driver", json::string_or(volume, "Driver")},
                   {"Size", size_text(volume)},
                   {"CreatedSince", created ? ago(*created) : ""},
                   {"Labels", pairs_text(labels)},
                   {"Options", pairs_text(json::object_or_empty(volume, "Options"))},
                   {"Data", json::string_or(volume, "Data")},
                   {"Note", note_of(volume)}},
                  labels);
}

Status show(Cli& cli, const json::Object& found, const Arguments& names,
            const std::string& format) {
  std::vector<client::TemplateData> rows;
  for (const auto& volume : json::array_or_empty(found, "Volumes")) {
    if (!volume.is_object()) continue;
    auto name = json::string_or(volume.get_object(), "Name");
    if (names.empty() || std::find(names.begin(), names.end(), name) != names.end())
      rows.push_back(row_of(volume.get_object()));
  }
  client::ListFormat list;
  list.table = "{{.Name}}\t{{.Driver}}\t{{.Size}}\t{{.CreatedSince}}\t{{.Note}}";
  list.headings = {{"Name", "VOLUME NAME"}, {"Driver", "DRIVER"},
                   {"Size", "SIZE"},        {"CreatedSince", "CREATED"},
                   {"Labels", "LABELS"},    {"Options", "OPTIONS"},
                   {"Data", "DATA"},        {"Note", "NOTE"}};
  RETURN_IF_ERROR(print_list(cli, format, false, list, std::move(rows)));
  if (auto running = json::string_or(found, "Running"); !running.empty())
    cli.err("WARNING: " + running + "\n");
  return {};
}

std::string question(const Options& options, const json::Object& found) {
  auto root = json::string_or(found, "Root");
  std::string what =
      options.how == "move"
          ? fmt::format("WARNING! This moves the files of these volumes out of \"{}\".", root)
          : fmt::format("This copies these volumes from \"{}\"; nothing is changed there.", root);
  return fmt::format("\n{}\nAre you sure you want to continue?", what);
}

// "3 taken over, 1 skipped, 0 failed"; 1 where some failed.
int sum_up(Cli& cli, const json::Object& result) {
  auto count = [&](const char* key) { return json::array_or_empty(result, key).size(); };
  cli.out(fmt::format("{} taken over, {} skipped, {} failed\n", count("TakenOver"),
                      count("Skipped"), count("Failed")));
  return count("Failed") == 0 ? 0 : 1;
}

Result<int> migrate(Cli& cli, const Options& options, const std::string& path,
                    const Arguments& names) {
  client::Request request;
  request.method = "POST";
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = json::serialize(json::Object{{"Root", options.root},
                                              {"How", options.how},
                                              {"Live", options.live},
                                              {"Volumes", json::from_strings(names)}});
  ASSIGN_OR_RETURN(auto response, cli.engine().open(std::move(request), path));
  std::optional<json::Object> result;
  RETURN_IF_ERROR(show_progress(cli, std::move(response), ProgressTo::kStdout,
                                [&](const json::Object& message) {
                                  const auto* aux = json::find(message, "aux");
                                  if (aux && aux->is_object()) result = aux->get_object();
                                }));
  if (!result) return fail(Code::kUnavailable, "unexpected EOF");
  return sum_up(cli, *result);
}

Result<int> run(Cli& cli, Options options, const Arguments& arguments) {
  // The daemon has a working directory of its own.
  if (!options.root.empty())
    options.root = std::filesystem::absolute(options.root).lexically_normal().string();
  std::string path = "/holdfast/v1/migrate/" + client::url_escape(arguments[0]);
  Arguments names(arguments.begin() + 1, arguments.end());
  if (options.list || !options.yes) {
    ASSIGN_OR_RETURN(auto found, ask(cli, options, path));
    RETURN_IF_ERROR(show(cli, found, names, options.format));
    if (options.list) return 0;
    if (!confirm(cli, question(options, found))) return 0;
  }
  return migrate(cli, options, path, names);
}

}  // namespace

Command migrate_command() {
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] docker|podman [VOLUME...]";
  command.summary = "Take over volumes of Docker or Podman";
  command.examples =
      "  holdfast migrate docker --list                 # what is there, and what could be taken\n"
      "  holdfast migrate docker                        # shows it, asks, copies all of it\n"
      "  holdfast migrate docker --how move --yes pgdata\n"
      "  holdfast migrate podman --root ~/.local/share/containers/storage\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("root", 0, options->root,
                     "The engine's data root (default /var/lib/docker, or "
                     "/var/lib/containers/storage)",
                     "directory");
  command.flags.flag("list", 'l', options->list, "Only show the volumes that are there");
  command.flags.flag("how", 0, options->how,
                     "\"copy\": files are copied, with shared blocks where the file system can\n"
                     "\"reflink\": the same, and an error where it can't\n"
                     "\"move\": files are moved, and gone there");
  command.flags.flag("live", 0, options->live,
                     "Copy although the engine runs and volumes are in use: what is written "
                     "meanwhile may be torn");
  command.flags.flag("yes", 'y', options->yes, "Do not show the volumes and ask");
  command.flags.flag("format", 0, options->format,
                     "Format the list: \"table TEMPLATE\", \"json\" or a template");
  command.flags.flag("wait", 0, options->wait, "How long to count sizes for the list (default 2s)",
                     "duration");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return run(cli, *options, arguments);
  };
  return command;
}

}  // namespace holdfast::cli
