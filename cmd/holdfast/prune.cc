// container, image, network, volume and system prune.
#include <memory>

#include "base/size_text.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct PruneOptions {
  bool force = false, all = false, volumes = false;
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

using Prune = Result<Pruned> (*)(Cli&, const PruneOptions&);

Command make_prune(std::string_view summary, Prune prune,
                   std::string (*warning)(Cli&, const PruneOptions&), bool shows_total,
                   std::string_view all_help) {
  auto options = std::make_shared<PruneOptions>();
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
      "Remove all stopped containers",
      [](Cli& cli, const PruneOptions& options) { return prune_containers(cli, options.filters); },
      [](Cli&, const PruneOptions&) -> std::string {
        return "This will remove all stopped containers.";
      },
      true, "");
}

Command network_prune_command() {
  return make_prune(
      "Remove all unused networks",
      [](Cli& cli, const PruneOptions& options) { return prune_networks(cli, options.filters); },
      [](Cli&, const PruneOptions&) -> std::string {
        return "This will remove all custom networks not used by at least one container.";
      },
      false, "");
}

Command volume_prune_command() {
  return make_prune(
      "Remove unused local volumes",
      [](Cli& cli, const PruneOptions& options) {
        return prune_volumes(cli, options.filters, options.all);
      },
      [](Cli& cli, const PruneOptions& options) -> std::string {
        bool all = options.all || !cli.engine().speaks("1.42");
        return all ? "This will remove all local volumes not used by at least one container."
                   : "This will remove anonymous local volumes not used by at least one container.";
      },
      true, "Remove all unused volumes, not just anonymous ones");
}

Command image_prune_command() {
  return make_prune(
      "Remove unused images",
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
