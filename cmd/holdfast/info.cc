#include <memory>

#include "base/size_text.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

std::string member_text(const json::Object& info, std::string_view key) {
  const auto* value = json::find(info, key);
  if (!value) return {};
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

// "Label: value" lines, indented; absent members are left out.
void line(std::string& text, std::size_t depth, std::string_view label, const std::string& value) {
  if (value.empty()) return;
  text += fmt::format("{}{}: {}\n", std::string(depth, ' '), label, value);
}

void list(std::string& text, std::string_view label, std::vector<std::string> names) {
  if (!names.empty()) text += fmt::format("  {}: {}\n", label, fmt::join(names, " "));
}

std::string storage_text(const json::Object& info) {
  std::string text;
  line(text, 1, "Storage Driver", member_text(info, "Driver"));
  for (const auto& pair : json::array_or_empty(info, "DriverStatus")) {
    if (!pair.is_array() || pair.get_array().size() != 2 || !pair.get_array()[0].is_string() ||
        !pair.get_array()[1].is_string())
      continue;
    line(text, 2, pair.get_array()[0].get_string(), std::string(pair.get_array()[1].get_string()));
  }
  line(text, 1, "Logging Driver", member_text(info, "LoggingDriver"));
  line(text, 1, "Cgroup Driver", member_text(info, "CgroupDriver"));
  line(text, 1, "Cgroup Version", member_text(info, "CgroupVersion"));
  const auto& plugins = json::object_or_empty(info, "Plugins");
  text += " Plugins:\n";
  list(text, "Volume", json::strings_or_empty(plugins, "Volume"));
  list(text, "Network", json::strings_or_empty(plugins, "Network"));
  list(text, "Log", json::strings_or_empty(plugins, "Log"));
  return text;
}

std::string server_text(const json::Object& info) {
  std::string text;
  line(text, 1, "Containers", member_text(info, "Containers"));
  line(text, 2, "Running", member_text(info, "ContainersRunning"));
  line(text, 2, "Paused", member_text(info, "ContainersPaused"));
  line(text, 2, "Stopped", member_text(info, "ContainersStopped"));
  line(text, 1, "Images", member_text(info, "Images"));
  line(text, 1, "Server Version", member_text(info, "ServerVersion"));
  text += storage_text(info);
  std::vector<std::string> runtimes;
  for (const auto& [name, runtime] : json::object_or_empty(info, "Runtimes"))
    runtimes.emplace_back(name);
  if (!runtimes.empty()) text += fmt::format(" Runtimes: {}\n", fmt::join(runtimes, " "));
  line(text, 1, "Default Runtime", member_text(info, "DefaultRuntime"));
  line(text, 1, "Init Binary", member_text(info, "InitBinary"));
  auto security = json::strings_or_empty(info, "SecurityOptions");
  if (!security.empty()) text += " Security Options:\n";
  for (const auto& option : security)
    text += fmt::format("  {}\n", option.starts_with("name=") ? option.substr(5) : option);
  line(text, 1, "Kernel Version", member_text(info, "KernelVersion"));
  line(text, 1, "Operating System", member_text(info, "OperatingSystem"));
  line(text, 1, "OSType", member_text(info, "OSType"));
  line(text, 1, "Architecture", member_text(info, "Architecture"));
  line(text, 1, "CPUs", member_text(info, "NCPU"));
  line(text, 1, "Total Memory", bytes_size(static_cast<double>(json::int_or(info, "MemTotal"))));
  line(text, 1, "Name", member_text(info, "Name"));
  line(text, 1, "ID", member_text(info, "ID"));
  line(text, 1, "Holdfast Root Dir", member_text(info, "DockerRootDir"));
  line(text, 1, "Debug Mode", member_text(info, "Debug"));
  line(text, 1, "Experimental", member_text(info, "ExperimentalBuild"));
  line(text, 1, "Live Restore Enabled", member_text(info, "LiveRestoreEnabled"));
  return text;
}

}  // namespace

Command info_command() {
  auto format = std::make_shared<std::string>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Display system-wide information";
  command.examples = "  holdfast info --format '{{.DockerRootDir}}'\n";
  add_format_flag(command.flags, 'f', *format);
  command.run = [format](Cli& cli, const Arguments&) -> Result<int> {
    ASSIGN_OR_RETURN(auto answer, cli.engine().get("/info"));
    if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
    if (!format->empty()) {
      ASSIGN_OR_RETURN(auto text, client::render_object(*format, answer));
      cli.out(text);
      return 0;
    }
    const auto& info = answer.get_object();
    cli.out(fmt::format("Client: Holdfast\n Version:    {}\n\nServer:\n", HOLDFAST_VERSION));
    cli.out(server_text(info));
    for (const auto& warning : json::strings_or_empty(info, "Warnings")) cli.err(warning + "\n");
    return 0;
  };
  return command;
}

Command plugin_ls_command() {
  struct Options {
    bool quiet = false, no_trunc = false;
    std::string format;
    wire::Filters filters;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List plugins";
  add_filter_flag(command.flags, 'f', options->filters);
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("no-trunc", 0, options->no_trunc, "Don't truncate output");
  command.flags.flag("quiet", 'q', options->quiet, "Only display plugin IDs");
  command.run = [options](Cli& cli, const Arguments&) -> Result<int> {
    Query query;
    add_filters(query, options->filters);
    ASSIGN_OR_RETURN(auto answer, cli.engine().get("/plugins", query));
    std::vector<client::TemplateData> rows;
    for (const auto& each : answer.is_array() ? answer.get_array() : json::Array{}) {
      if (!each.is_object()) continue;
      const auto& plugin = each.get_object();
      std::string id = json::string_or(plugin, "Id");
      rows.push_back(make_row(
          {{"ID", options->no_trunc ? id : short_id(id)},
           {"Name", json::string_or(plugin, "Name")},
           {"Description", json::string_or(json::object_or_empty(plugin, "Config"), "Description")},
           {"Enabled", json::bool_or(plugin, "Enabled") ? "true" : "false"},
           {"PluginReference", json::string_or(plugin, "PluginReference")}}));
    }
    client::ListFormat list;
    list.table = "{{.ID}}\t{{.Name}}\t{{.Description}}\t{{.Enabled}}";
    list.quiet = "{{.ID}}";
    list.headings = {{"ID", "ID"},
                     {"Name", "NAME"},
                     {"Description", "DESCRIPTION"},
                     {"Enabled", "ENABLED"},
                     {"PluginReference", "PLUGIN REFERENCE"}};
    RETURN_IF_ERROR(print_list(cli, options->format, options->quiet, list, std::move(rows)));
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
