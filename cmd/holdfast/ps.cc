#include <memory>

#include "base/size_text.h"
#include "client/image_reference.h"
#include "client/port_text.h"
#include "client/text_table.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

struct PsOptions {
  bool all = false, quiet = false, latest = false, size = false, no_trunc = false;
  std::int64_t last = -1;
  std::string format;
  wire::Filters filters;
};

std::string names_text(const json::Object& container, bool truncate) {
  std::vector<std::string> names;
  for (auto name : json::strings_or_empty(container, "Names")) {
    if (name.starts_with('/')) name.erase(0, 1);
    // With a second slash it is a link's name.
    if (truncate && std::find(name.begin(), name.end(), '/') != name.end()) continue;
    names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, ","));
}

std::string image_text(const json::Object& container, bool truncate) {
  std::string image = json::string_or(container, "Image");
  if (image.empty()) return "<no image>";
  if (!truncate) return image;
  if (auto id = json::string_or(container, "ImageID"); short_id(id) == short_id(image))
    return short_id(image);
  if (auto reference = client::parse_image_reference(image); reference && !reference->tag.empty())
    return reference->name + ":" + reference->tag;
  return image;
}

std::string mounts_text(const json::Object& container, bool truncate) {
  std::vector<std::string> mounts;
  for (const auto& mount : json::array_or_empty(container, "Mounts")) {
    if (!mount.is_object()) continue;
    std::string name = json::string_or(mount.get_object(), "Name");
    if (name.empty()) name = json::string_or(mount.get_object(), "Source");
    mounts.push_back(truncate ? client::ellipsis(name, 15) : name);
  }
  return fmt::format("{}", fmt::join(mounts, ","));
}

std::string networks_text(const json::Object& container) {
  std::vector<std::string> names;
  const auto& settings = json::object_or_empty(container, "NetworkSettings");
  for (const auto& [name, endpoint] : json::object_or_empty(settings, "Networks"))
    names.emplace_back(name);
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ","));
}

std::int64_t local_volumes(const json::Object& container) {
  std::int64_t count = 0;
  for (const auto& mount : json::array_or_empty(container, "Mounts"))
    if (mount.is_object() && json::string_or(mount.get_object(), "Driver") == "local") ++count;
  return count;
}

std::string size_text(const json::Object& container) {
  auto text = human_size(static_cast<double>(json::int_or(container, "SizeRw")), 3);
  auto root = json::int_or(container, "SizeRootFs");
  if (root <= 0) return text;
  return fmt::format("{} (virtual {})", text, human_size(static_cast<double>(root), 3));
}

client::TemplateData container_row(const json::Object& container, bool truncate) {
  std::string id = json::string_or(container, "Id");
  std::string command = json::string_or(container, "Command");
  auto created = json::int_or(container, "Created");
  const auto& labels = json::object_or_empty(container, "Labels");
  return make_row({{"ID", truncate ? short_id(id) : id},
                   {"Names", names_text(container, truncate)},
                   {"Image", image_text(container, truncate)},
                   {"Command", json::serialize(json::Value(truncate ? client::ellipsis(command, 20)
                                                                    : command))},
                   {"CreatedAt", local_time(created)},
                   {"RunningFor", ago(Time(std::chrono::seconds(created)))},
                   {"Platform", nullptr},
                   {"Ports", client::displayable_ports(json::array_or_empty(container, "Ports"))},
                   {"State", json::string_or(container, "State")},
                   {"Status", json::string_or(container, "Status")},
                   {"Size", size_text(container)},
                   {"Labels", pairs_text(labels)},
                   {"Mounts", mounts_text(container, truncate)},
                   {"LocalVolumes", fmt::format("{}", local_volumes(container))},
                   {"Networks", networks_text(container)}},
                  labels);
}

client::ListFormat container_format(bool size) {
  client::ListFormat list;
  list.table =
      "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
  if (size) list.table += "\t{{.Size}}";
  list.quiet = "{{.ID}}";
  list.headings = {{"ID", "CONTAINER ID"},
                   {"Names", "NAMES"},
                   {"Image", "IMAGE"},
                   {"Command", "COMMAND"},
                   {"CreatedAt", "CREATED AT"},
                   {"RunningFor", "CREATED"},
                   {"Ports", "PORTS"},
                   {"State", "STATE"},
                   {"Status", "STATUS"},
                   {"Size", "SIZE"},
                   {"Labels", "LABELS"},
                   {"Mounts", "MOUNTS"},
                   {"LocalVolumes", "LOCAL VOLUMES"},
                   {"Networks", "NETWORKS"}};
  return list;
}

Result<int> list_containers(Cli& cli, const PsOptions& options) {
  Query query;
  if (options.all) query.emplace_back("all", "1");
  auto limit = options.latest ? 1 : options.last;
  if (limit > 0) query.emplace_back("limit", fmt::format("{}", limit));
  std::string format =
      options.format.empty() && !options.quiet ? cli.config().text("psFormat") : options.format;
  // Sizes cost the daemon a walk of every writable layer: asked for only when shown.
  bool size = options.size || format.find(".Size") != std::string::npos ||
              format.find("json .") != std::string::npos;
  if (size) query.emplace_back("size", "1");
  add_filters(query, options.filters);
  ASSIGN_OR_RETURN(auto answer, cli.engine().get("/containers/json", query));
  std::vector<client::TemplateData> rows;
  if (answer.is_array())
    for (const auto& container : answer.get_array())
      if (container.is_object())
        rows.push_back(container_row(container.get_object(), !options.no_trunc));
  RETURN_IF_ERROR(
      print_list(cli, format, options.quiet, container_format(options.size), std::move(rows)));
  return 0;
}

}  // namespace

Command ps_command() {
  auto options = std::make_shared<PsOptions>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List containers";
  command.examples =
      "  holdfast ps -a                                     # stopped ones too\n"
      "  holdfast ps --filter volume=pgdata                 # who uses a volume\n"
      "  holdfast ps --format 'table {{.Names}}\\t{{.Status}}'\n";
  command.flags.flag("all", 'a', options->all, "Show all containers (default shows just running)");
  add_filter_flag(command.flags, 'f', options->filters);
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("last", 'n', options->last,
                     "Show n last created containers (includes all states)");
  command.flags.flag("latest", 'l', options->latest,
                     "Show the latest created container (includes all states)");
  command.flags.flag("no-trunc", 0, options->no_trunc, "Don't truncate output");
  command.flags.flag("quiet", 'q', options->quiet, "Only display container IDs");
  command.flags.flag("size", 's', options->size, "Display total file sizes");
  command.run = [options](Cli& cli, const Arguments&) { return list_containers(cli, *options); };
  return command;
}

}  // namespace holdfast::cli
