#include <memory>

#include "base/size_text.h"
#include "client/text_table.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

std::vector<const json::Object*> objects(const json::Object& answer, std::string_view key) {
  std::vector<const json::Object*> result;
  for (const auto& each : json::array_or_empty(answer, key))
    if (each.is_object()) result.push_back(&each.get_object());
  return result;
}

// One kind of thing: how many, how many in use, and bytes.
struct Usage {
  std::string_view type;
  std::int64_t total = 0, active = 0, size = 0, reclaimable = 0;
};

Usage image_usage(const json::Object& answer) {
  Usage usage{"Images"};
  usage.size = json::int_or(answer, "LayersSize");
  std::int64_t used = 0;
  for (const auto* image : objects(answer, "Images")) {
    ++usage.total;
    if (json::int_or(*image, "Containers") <= 0) continue;
    ++usage.active;
    auto shared = json::int_or(*image, "SharedSize", -1);
    if (shared >= 0) used += json::int_or(*image, "Size") - shared;
  }
  usage.reclaimable = std::max<std::int64_t>(usage.size - used, 0);
  return usage;
}

Usage container_usage(const json::Object& answer) {
  Usage usage{"Containers"};
  for (const auto* container : objects(answer, "Containers")) {
    ++usage.total;
    auto state = json::string_or(*container, "State");
    bool active = state == "running" || state == "paused" || state == "restarting";
    auto size = json::int_or(*container, "SizeRw");
    usage.size += size;
    if (active)
      ++usage.active;
    else
      usage.reclaimable += size;
  }
  return usage;
}

Usage volume_usage(const json::Object& answer) {
  Usage usage{"Local Volumes"};
  for (const auto* volume : objects(answer, "Volumes")) {
    ++usage.total;
    const auto& data = json::object_or_empty(*volume, "UsageData");
    auto size = std::max<std::int64_t>(json::int_or(data, "Size"), 0);
    usage.size += size;
    if (json::int_or(data, "RefCount") > 0)
      ++usage.active;
    else
      usage.reclaimable += size;
  }
  return usage;
}

Usage cache_usage(const json::Object& answer) {
  Usage usage{"Build Cache"};
  for (const auto* entry : objects(answer, "BuildCache")) {
    ++usage.total;
    auto size = json::int_or(*entry, "Size");
    usage.size += size;
    if (json::bool_or(*entry, "InUse"))
      ++usage.active;
    else
      usage.reclaimable += size;
  }
  return usage;
}

client::TemplateData usage_row(const Usage& usage) {
  std::string reclaimable = human_size(static_cast<double>(usage.reclaimable));
  if (usage.size > 0) reclaimable += fmt::format(" ({}%)", usage.reclaimable * 100 / usage.size);
  return make_row({{"Type", usage.type},
                   {"TotalCount", fmt::format("{}", usage.total)},
                   {"Active", fmt::format("{}", usage.active)},
                   {"Size", human_size(static_cast<double>(usage.size))},
                   {"Reclaimable", reclaimable}});
}

std::string human(std::int64_t bytes, int precision = 3) {
  return bytes < 0 ? "N/A" : human_size(static_cast<double>(bytes), precision);
}

std::string created_text(const json::Object& object) {
  return ago(Time(std::chrono::seconds(json::int_or(object, "Created"))));
}

std::string image_lines(const json::Object& answer) {
  std::string text =
      "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n";
  for (const auto* image : objects(answer, "Images")) {
    auto tags = json::strings_or_empty(*image, "RepoTags");
    std::string name = tags.empty() ? "<none>:<none>" : tags[0];
    auto colon = name.find_last_of(':');
    auto size = json::int_or(*image, "Size");
    auto shared = std::max<std::int64_t>(json::int_or(*image, "SharedSize"), 0);
    text +=
        fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", name.substr(0, colon),
                    name.substr(colon + 1), short_id(json::string_or(*image, "Id")),
                    created_text(*image), human(size), human(shared, 4), human(size - shared, 4),
                    std::max<std::int64_t>(json::int_or(*image, "Containers"), 0));
  }
  return client::align_columns(text);
}

std::string container_lines(const json::Object& answer) {
  std::string text = "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n";
  for (const auto* container : objects(answer, "Containers")) {
    auto names = json::strings_or_empty(*container, "Names");
    std::string name = names.empty() ? "" : names[0];
    if (name.starts_with('/')) name.erase(0, 1);
    std::int64_t local = 0;
    for (const auto* mount : objects(*container, "Mounts"))
      if (json::string_or(*mount, "Driver") == "local") ++local;
    text += fmt::format(
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", short_id(json::string_or(*container, "Id")),
        json::string_or(*container, "Image"),
        json::serialize(json::Value(client::ellipsis(json::string_or(*container, "Command"), 20))),
        local, human(json::int_or(*container, "SizeRw")), created_text(*container),
        json::string_or(*container, "Status"), name);
  }
  return client::align_columns(text);
}

std::string volume_lines(const json::Object& answer) {
  std::string text = "VOLUME NAME\tLINKS\tSIZE\n";
  for (const auto* volume : objects(answer, "Volumes")) {
    const auto& data = json::object_or_empty(*volume, "UsageData");
    text += fmt::format("{}\t{}\t{}\n", json::string_or(*volume, "Name"),
                        json::int_or(data, "RefCount"), human(json::int_or(data, "Size", -1), 4));
  }
  return client::align_columns(text);
}

Result<int> show_usage(Cli& cli, const std::string& format, bool verbose) {
  ASSIGN_OR_RETURN(auto body, cli.engine().get("/system/df"));
  if (!body.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  const auto& answer = body.get_object();
  if (verbose && format.empty()) {
    cli.out("Images space usage:\n\n" + image_lines(answer));
    cli.out("\nContainers space usage:\n\n" + container_lines(answer));
    cli.out("\nLocal Volumes space usage:\n\n" + volume_lines(answer));
    cli.out(
        fmt::format("\nBuild cache usage: {}\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   "
                    "LAST USED   USAGE     SHARED\n",
                    human_size(static_cast<double>(cache_usage(answer).size))));
    return 0;
  }
  if (verbose) {
    ASSIGN_OR_RETURN(auto text, client::render_object(format, body));
    cli.out(text);
    return 0;
  }
  std::vector<client::TemplateData> rows;
  for (const auto& usage :
       {image_usage(answer), container_usage(answer), volume_usage(answer), cache_usage(answer)})
    rows.push_back(usage_row(usage));
  client::ListFormat list;
  list.table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
  list.headings = {{"Type", "TYPE"},
                   {"TotalCount", "TOTAL"},
                   {"Active", "ACTIVE"},
                   {"Size", "SIZE"},
                   {"Reclaimable", "RECLAIMABLE"}};
  RETURN_IF_ERROR(print_list(cli, format, false, list, std::move(rows)));
  return 0;
}

}  // namespace

Command system_df_command() {
  struct Options {
    std::string format;
    bool verbose = false;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Show disk usage";
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("verbose", 'v', options->verbose, "Show detailed information on space usage");
  command.run = [options](Cli& cli, const Arguments&) {
    return show_usage(cli, options->format, options->verbose);
  };
  return command;
}

}  // namespace holdfast::cli
