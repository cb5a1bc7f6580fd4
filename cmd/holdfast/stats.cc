#include <memory>

#include "base/size_text.h"
#include "client/terminal.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct StatsOptions {
  bool all = false, no_stream = false, no_trunc = false;
  std::string format;
};

double number(const json::Object& object, std::string_view key) {
  return static_cast<double>(json::int_or(object, key));
}

// Two samples' difference, as docker stats computes it.
double cpu_percent(const json::Object& stats) {
  const auto& now = json::object_or_empty(stats, "cpu_stats");
  const auto& before = json::object_or_empty(stats, "precpu_stats");
  double used = number(json::object_or_empty(now, "cpu_usage"), "total_usage") -
                number(json::object_or_empty(before, "cpu_usage"), "total_usage");
  double system = number(now, "system_cpu_usage") - number(before, "system_cpu_usage");
  double cpus = number(now, "online_cpus");
  return system > 0 && used > 0 ? used / system * std::max(cpus, 1.0) * 100 : 0;
}

// Memory without the page cache that can be dropped: inactive_file (cgroup v2) or its v1 name.
double memory_used(const json::Object& memory) {
  double usage = number(memory, "usage");
  const auto& detail = json::object_or_empty(memory, "stats");
  for (std::string_view key : {"total_inactive_file", "inactive_file"}) {
    double cache = number(detail, key);
    if (cache > 0 && cache < usage) return usage - cache;
  }
  return usage;
}

std::string network_text(const json::Object& stats) {
  double in = 0, out = 0;
  for (const auto& [name, value] : json::object_or_empty(stats, "networks")) {
    if (!value.is_object()) continue;
    in += number(value.get_object(), "rx_bytes");
    out += number(value.get_object(), "tx_bytes");
  }
  return fmt::format("{} / {}", human_size(in, 3), human_size(out, 3));
}

std::string block_text(const json::Object& stats) {
  double read = 0, written = 0;
  const auto& blkio = json::object_or_empty(stats, "blkio_stats");
  for (const auto& entry : json::array_or_empty(blkio, "io_service_bytes_recursive")) {
    if (!entry.is_object()) continue;
    std::string operation = json::string_or(entry.get_object(), "op");
    if (operation == "Read" || operation == "read") read += number(entry.get_object(), "value");
    if (operation == "Write" || operation == "write")
      written += number(entry.get_object(), "value");
  }
  return fmt::format("{} / {}", human_size(read, 3), human_size(written, 3));
}

client::TemplateData stats_row(const std::string& asked, const json::Object& stats, bool truncate) {
  const auto& memory = json::object_or_empty(stats, "memory_stats");
  double used = memory_used(memory);
  double limit = number(memory, "limit");
  std::string id = json::string_or(stats, "id", asked);
  std::string name = json::string_or(stats, "name");
  if (name.starts_with('/')) name.erase(0, 1);
  return make_row(
      {{"Container", asked},
       {"ID", truncate ? short_id(id) : id},
       {"Name", name},
       {"CPUPerc", fmt::format("{:.2f}%", cpu_percent(stats))},
       {"MemUsage", fmt::format("{} / {}", bytes_size(used), bytes_size(limit))},
       {"MemPerc", fmt::format("{:.2f}%", limit > 0 ? used / limit * 100 : 0)},
       {"NetIO", network_text(stats)},
       {"BlockIO", block_text(stats)},
       {"PIDs",
        fmt::format("{}", json::int_or(json::object_or_empty(stats, "pids_stats"), "current"))}});
}

Result<Arguments> containers_to_show(Cli& cli, const StatsOptions& options,
                                     const Arguments& names) {
  if (!names.empty()) return names;
  Query query;
  if (options.all) query.emplace_back("all", "1");
  ASSIGN_OR_RETURN(auto answer, cli.engine().get("/containers/json", query));
  Arguments ids;
  for (const auto& container : answer.is_array() ? answer.get_array() : json::Array{})
    if (container.is_object()) ids.push_back(json::string_or(container.get_object(), "Id"));
  return ids;
}

client::ListFormat stats_format() {
  client::ListFormat list;
  list.table =
      "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{."
      "PIDs}}";
  list.headings = {{"Container", "CONTAINER"},
                   {"ID", "CONTAINER ID"},
                   {"Name", "NAME"},
                   {"CPUPerc", "CPU %"},
                   {"MemUsage", "MEM USAGE / LIMIT"},
                   {"MemPerc", "MEM %"},
                   {"NetIO", "NET I/O"},
                   {"BlockIO", "BLOCK I/O"},
                   {"PIDs", "PIDS"}};
  return list;
}

// One table. The daemon takes two samples a second apart for each, so the rate is of that second.
Result<std::vector<client::TemplateData>> sample(Cli& cli, const StatsOptions& options,
                                                 const Arguments& names, bool tolerate_missing) {
  // All are asked before the first answer is awaited: the seconds pass together.
  std::vector<std::pair<std::string, Result<client::Stream>>> asked;
  for (const auto& name : names)
    asked.emplace_back(name,
                       cli.engine().begin({}, fmt::format("/containers/{}/stats", url_escape(name)),
                                          {{"stream", "0"}}));
  std::vector<client::TemplateData> rows;
  for (auto& [name, stream] : asked) {
    if (!stream) return tl::unexpected(std::move(stream).error());
    auto answer = cli.engine().finish(std::move(*stream));
    if (!answer) {
      if (tolerate_missing && answer.error().code == Code::kNotFound) continue;
      return tl::unexpected(std::move(answer).error());
    }
    if (answer->is_object())
      rows.push_back(stats_row(name, answer->get_object(), !options.no_trunc));
  }
  return rows;
}

Result<int> show_stats(Cli& cli, const StatsOptions& options, const Arguments& names) {
  bool terminal = client::is_terminal(client::kStdout);
  while (true) {
    ASSIGN_OR_RETURN(auto shown, containers_to_show(cli, options, names));
    ASSIGN_OR_RETURN(auto rows, sample(cli, options, shown, names.empty()));
    if (!options.no_stream && terminal) cli.out("\x1b[H\x1b[J");
    RETURN_IF_ERROR(print_list(cli, options.format, false, stats_format(), std::move(rows)));
    cli.flush();
    if (options.no_stream) return 0;
    // Without containers nothing takes time: wait for one to start rather than spin.
    if (shown.empty()) {
      Query query{{"filters", wire::encode_filters({{"type", "container"}, {"event", "start"}})}};
      ASSIGN_OR_RETURN(auto events, cli.engine().open({}, "/events", query));
      char byte = 0;
      RETURN_IF_ERROR(events.read(&byte, 1));
    }
  }
}

}  // namespace

Command stats_command() {
  auto options = std::make_shared<StatsOptions>();
  Command command;
  command.arguments = "[OPTIONS] [CONTAINER...]";
  command.summary = "Display a live stream of container(s) resource usage statistics";
  command.examples = "  holdfast stats --no-stream --format '{{.Name}} {{.MemUsage}}'\n";
  command.max_arguments = kAnyNumber;
  command.flags.flag("all", 'a', options->all, "Show all containers (default shows just running)");
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("no-stream", 0, options->no_stream,
                     "Disable streaming stats and only pull the first result");
  command.flags.flag("no-trunc", 0, options->no_trunc, "Do not truncate output");
  command.run = [options](Cli& cli, const Arguments& names) {
    return show_stats(cli, *options, names);
  };
  return command;
}

}  // namespace holdfast::cli
