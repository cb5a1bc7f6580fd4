// container, image, network, volume and system prune.
#include <memory>

#include "base/size_text.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct PruneOptions {
  bool force = false, all = false, volumes = false;
  bool dry_run = false;  // of volumes alone, with what follows
  std::string format, wait;
  wire::Filters filters;
};

// What one prune removed.
struct Pruned {
  std::string heading;
  std::vector<std::string> lines;
  std::uint64_t bytes = 0;
};

Result<json::Object> request(Cli& cli, std::string_view what, const wire::Filters& filters) {
  Query query;
  add_filters(query, filters);
  ASSIGN_OR_RETURN(auto answer, cli.engine().post(fmt::format("/{}/prune", what), query));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  return std::move(answer.get_object());
}

std::uint64_t reclaimed(const json::Object& answer) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(json::int_or(answer, "SpaceReclaimed"), 0));
}

Result<Pruned> prune_simple(Cli& cli, std::string_view what, std::string_view member,
                            std::string_view heading, const wire::Filters& filters) {
  ASSIGN_OR_RETURN(auto answer, request(cli, what, filters));
  return Pruned{std::string(heading), json::strings_or_empty(answer, member), reclaimed(answer)};
}

Result<Pruned> prune_containers(Cli& cli, const wire::Filters& filters) {
  return prune_simple(cli, "containers", "ContainersDeleted", "Deleted Containers:", filters);
}
Result<Pruned> prune_networks(Cli& cli, const wire::Filters& filters) {
  return prune_simple(cli, "networks", "NetworksDeleted", "Deleted Networks:", filters);
}
Result<Pruned> prune_volumes(Cli& cli, wire::Filters filters, bool all) {
  // Before 1.42 a daemon knew no difference between named and anonymous volumes.
  if (all && cli.engine().speaks("1.42")) filters.emplace("all", "true");
  return prune_simple(cli, "volumes", "VolumesDeleted", "Deleted Volumes:", filters);
}

Result<Pruned> prune_images(Cli& cli, wire::Filters filters, bool all) {
  filters.emplace("dangling", all ? "false" : "true");
  ASSIGN_OR_RETURN(auto answer, request(cli, "images", filters));
  Pruned pruned{"Deleted Images:", {}, reclaimed(answer)};
  for (const auto& image : json::array_or_empty(answer, "ImagesDeleted")) {
    if (!image.is_object()) continue;
    auto untagged = json::string_or(image.get_object(), "Untagged");
    pruned.lines.push_back(untagged.empty()
                               ? "deleted: " + json::string_or(image.get_object(), "Deleted")
                               : "untagged: " + untagged);
  }
  return pruned;
}

void show(Cli& cli, const Pruned& pruned) {
  if (pruned.lines.empty()) return;
  cli.out(pruned.heading + "\n");
  for (const auto& line : pruned.lines) cli.out(line + "\n");
  cli.out("\n");
}

void show_total(Cli& cli, std::uint64_t bytes) {
  cli.out(fmt::format("Total reclaimed space: {}\n", human_size(static_cast<double>(bytes))));
}

client::TemplateData preview_row(const json::Object& volume) {
  auto bytes = json::int_or(json::object_or_empty(volume, "UsageData"), "Size", -1);
  const auto& labels = json::object_or_empty(volume, "Labels");
  auto created = parse_rfc3339(json::string_or(volume, "CreatedAt"));
  return make_row({{"Name", json::string_or(volume, "Name")},
                   {"Driver", json::string_or(volume, "Driver")},
                   {"Size", bytes < 0 ? "N/A" : human_size(static_cast<double>(bytes))},
                   {"CreatedSince", created ? ago(*created) : ""},
                   {"LastUsed", last_used_text(volume)},
                   {"Labels", pairs_text(labels)}},
                  labels);
}

// What a prune of volumes would take. The route is Holdfast's own, so that no other daemon takes
// the question for the prune itself.
Result<int> preview_volumes(Cli& cli, const PruneOptions& options) {
  Query query{{"dry-run", "1"}};
  auto filters = options.filters;
  if (options.all) filters.emplace("all", "true");
  add_filters(query, filters);
  if (!options.wait.empty()) query.emplace_back("wait", options.wait);
  ASSIGN_OR_RETURN(auto body, cli.engine().post("/holdfast/v1/volumes/prune", query));
  if (!body.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  std::vector<client::TemplateData> rows;
  std::size_t unknown = 0;
  for (const auto& volume : json::array_or_empty(body.get_object(), "Volumes")) {
    if (!volume.is_object()) continue;
    const auto& usage = json::object_or_empty(volume.get_object(), "UsageData");
    if (json::int_or(usage, "Size", -1) < 0) ++unknown;
    rows.push_back(preview_row(volume.get_object()));
  }
  std::size_t count = rows.size();
  client::ListFormat list;
  list.table = "{{.Name}}\t{{.Driver}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsed}}";
  list.headings = {{"Name", "VOLUME NAME"},     {"Driver", "DRIVER"}, {"Size", "SIZE"},
                   {"CreatedSince", "CREATED"}, {"Labels", "LABELS"}, {"LastUsed", "LAST USED"}};
  RETURN_IF_ERROR(print_list(cli, options.format, false, list, std::move(rows)));
  if (!options.format.empty() && options.format != "table") return 0;
  auto bytes = json::int_or(body.get_object(), "SpaceReclaimable");
  cli.out(
      fmt::format("\nWould remove {} volume{}. Total reclaimable space: {}{}\n", count,
                  count == 1 ? "" : "s", human_size(static_cast<double>(bytes)),
                  unknown == 0 ? "" : fmt::format(", not counting {} of unknown size", unknown)));
  return 0;
}

using Prune = Result<Pruned> (*)(Cli&, const PruneOptions&);

Command make_prune(const std::shared_ptr<PruneOptions>& options, std::string_view summary,
                   Prune prune, std::string (*warning)(Cli&, const PruneOptions&), bool shows_total,
                   std::string_view all_help) {
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = summary;
  if (!all_help.empty()) command.flags.flag("all", 'a', options->all, all_help);
  add_filter_flag(command.flags, 0, options->filters,
                  "Provide filter values (e.g. \"label=<label>\")");
  command.flags.flag("force", 'f', options->force, "Do not prompt for confirmation");
  command.run = [options, prune, warning, shows_total](Cli& cli, const Arguments&) -> Result<int> {
    if (!options->force &&
        !confirm(cli, fmt::format("WARNING! {}\nAre you sure you want to continue?",
                                  warning(cli, *options))))
      return 0;
    ASSIGN_OR_RETURN(auto pruned, prune(cli, *options));
    show(cli, pruned);
    if (shows_total) show_total(cli, pruned.bytes);
    return 0;
  };
  return command;
}

std::string system_warning(const PruneOptions& options) {
  std::string text =
      "WARNING! This will remove:\n  - all stopped containers\n"
      "  - all networks not used by at least one container\n";
  if (options.volumes) text += "  - all anonymous volumes not used by at least one container\n";
  text += options.all ? "  - all images without at least one container associated to them\n"
                      : "  - all dangling images\n";
  return text + "\nAre you sure you want to continue?";
}

Result<int> prune_system(Cli& cli, const PruneOptions& options) {
  if (options.volumes && options.filters.contains("until"))
    return fail(Code::kInvalidArgument,
                "ERROR: The \"until\" filter is not supported with \"--volumes\"");
  if (!options.force && !confirm(cli, system_warning(options))) return 0;
  std::uint64_t total = 0;
  auto take = [&](Result<Pruned> pruned) -> Status {
    if (!pruned) return tl::unexpected(std::move(pruned).error());
    show(cli, *pruned);
    total += pruned->bytes;
    return {};
  };
  RETURN_IF_ERROR(take(prune_containers(cli, options.filters)));
  RETURN_IF_ERROR(take(prune_networks(cli, options.filters)));
  if (options.volumes) RETURN_IF_ERROR(take(prune_volumes(cli, options.filters, false)));
  RETURN_IF_ERROR(take(prune_images(cli, options.filters, options.all)));
  show_total(cli, total);
  return 0;
}

}  // namespace

Command container_prune_command() {
  return make_prune(
      std::make_shared<PruneOptions>(), "Remove all stopped containers",
      [](Cli& cli, const PruneOptions& options) { return prune_containers(cli, options.filters); },
      [](Cli&, const PruneOptions&) -> std::string {
        return "This will remove all stopped containers.";
      },
      true, "");
}

Command network_prune_command() {
  return make_prune(
      std::make_shared<PruneOptions>(), "Remove all unused networks",
      [](Cli& cli, const PruneOptions& options) { return prune_networks(cli, options.filters); },
      [](Cli&, const PruneOptions&) -> std::string {
        return "This will remove all custom networks not used by at least one container.";
      },
      false, "");
}

Command volume_prune_command() {
  auto options = std::make_shared<PruneOptions>();
  auto command = make_prune(
      options, "Remove unused local volumes",
      [](Cli& cli, const PruneOptions& options) {
        return prune_volumes(cli, options.filters, options.all);
      },
      [](Cli& cli, const PruneOptions& options) -> std::string {
        bool all = options.all || !cli.engine().speaks("1.42");
        return all ? "This will remove all local volumes not used by at least one container."
                   : "This will remove anonymous local volumes not used by at least one container.";
      },
      true, "Remove all unused volumes, not just anonymous ones");
  command.examples =
      "  holdfast volume prune --all --dry-run          # what would go, and how much space\n"
      "  holdfast volume prune --filter until=720h      # anonymous ones older than 30 days\n"
      "  holdfast volume prune --all --filter 'label!=keep'\n";
  command.flags.flag("dry-run", 0, options->dry_run,
                     "Show what would be removed and how much space that gives back, and stop");
  command.flags.flag("format", 0, options->format,
                     "Format the output of --dry-run: \"table TEMPLATE\", \"json\" or a template");
  command.flags.flag("wait", 0, options->wait,
                     "With --dry-run, how long to count sizes (default 2s)", "duration");
  auto remove = std::move(command.run);
  command.run = [options, remove = std::move(remove)](Cli& cli,
                                                      const Arguments& arguments) -> Result<int> {
    if (options->dry_run) return preview_volumes(cli, *options);
    return remove(cli, arguments);
  };
  return command;
}

Command image_prune_command() {
  return make_prune(
      std::make_shared<PruneOptions>(), "Remove unused images",
      [](Cli& cli, const PruneOptions& options) {
        return prune_images(cli, options.filters, options.all);
      },
      [](Cli&, const PruneOptions& options) -> std::string {
        return options.all ? "This will remove all images without at least one container "
                             "associated to them."
                           : "This will remove all dangling images.";
      },
      true, "Remove all unused images, not just dangling ones");
}

Command system_prune_command() {
  auto options = std::make_shared<PruneOptions>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Remove unused data";
  command.flags.flag("all", 'a', options->all, "Remove all unused images not just dangling ones");
  add_filter_flag(command.flags, 0, options->filters,
                  "Provide filter values (e.g. \"label=<key>=<value>\")");
  command.flags.flag("force", 'f', options->force, "Do not prompt for confirmation");
  command.flags.flag("volumes", 0, options->volumes, "Prune anonymous volumes");
  command.run = [options](Cli& cli, const Arguments&) { return prune_system(cli, *options); };
  return command;
}

}  // namespace holdfast::cli
