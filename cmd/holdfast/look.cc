// Small looks at one container: diff, port, top.
#include <algorithm>
#include <memory>

#include "client/text_table.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

Result<int> show_ports(Cli& cli, const Arguments& arguments) {
  ASSIGN_OR_RETURN(auto answer,
                   cli.engine().get(fmt::format("/containers/{}/json", url_escape(arguments[0]))));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  const auto& settings = json::object_or_empty(answer.get_object(), "NetworkSettings");
  std::string wanted = arguments.size() > 1 ? arguments[1] : "";
  bool has_protocol = std::find(wanted.begin(), wanted.end(), '/') != wanted.end();
  if (!wanted.empty() && !has_protocol) wanted += "/tcp";
  std::vector<std::string> lines;
  for (const auto& [port, bindings] : json::object_or_empty(settings, "Ports")) {
    if ((!wanted.empty() && port != wanted) || !bindings.is_array()) continue;
    for (const auto& each : bindings.get_array()) {
      if (!each.is_object()) continue;
      std::string ip = json::string_or(each.get_object(), "HostIp");
      if (std::find(ip.begin(), ip.end(), ':') != ip.end()) ip = fmt::format("[{}]", ip);
      auto address = fmt::format("{}:{}", ip, json::string_or(each.get_object(), "HostPort"));
      lines.push_back(wanted.empty() ? fmt::format("{} -> {}", std::string_view(port), address)
                                     : address);
    }
  }
  if (!wanted.empty() && lines.empty())
    return fail(Code::kNotFound, "Error: No public port '{}' published for {}", arguments[1],
                arguments[0]);
  std::sort(lines.begin(), lines.end());
  for (const auto& line : lines) cli.out(line + "\n");
  return 0;
}

Result<int> show_processes(Cli& cli, const Arguments& arguments) {
  Query query;
  if (arguments.size() > 1)
    query.emplace_back("ps_args",
                       fmt::format("{}", fmt::join(arguments.begin() + 1, arguments.end(), " ")));
  ASSIGN_OR_RETURN(
      auto answer,
      cli.engine().get(fmt::format("/containers/{}/top", url_escape(arguments[0])), query));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  std::string text =
      fmt::format("{}\n", fmt::join(json::strings_or_empty(answer.get_object(), "Titles"), "\t"));
  for (const auto& process : json::array_or_empty(answer.get_object(), "Processes")) {
    std::vector<std::string> cells;
    for (const auto& cell : process.is_array() ? process.get_array() : json::Array{})
      cells.emplace_back(cell.is_string() ? std::string(cell.get_string()) : "");
    text += fmt::format("{}\n", fmt::join(cells, "\t"));
  }
  cli.out(client::align_columns(text, 20, 3));
  return 0;
}

}  // namespace

Command port_command() {
  Command command;
  command.arguments = "CONTAINER [PRIVATE_PORT[/PROTO]]";
  command.summary = "List port mappings or a specific mapping for the container";
  command.min_arguments = 1;
  command.max_arguments = 2;
  command.run = show_ports;
  return command;
}

Command top_command() {
  Command command;
  command.arguments = "CONTAINER [ps OPTIONS]";
  command.summary = "Display the running processes of a container";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.stop_at_first_argument = true;
  command.run = show_processes;
  return command;
}

Command diff_command() {
  Command command;
  command.arguments = "CONTAINER";
  command.summary = "Inspect changes to files or directories on a container's filesystem";
  command.min_arguments = command.max_arguments = 1;
  command.run = [](Cli& cli, const Arguments& arguments) -> Result<int> {
    if (arguments[0].empty()) return fail(Code::kInvalidArgument, "Container name cannot be empty");
    ASSIGN_OR_RETURN(auto answer, cli.engine().get(fmt::format("/containers/{}/changes",
                                                               url_escape(arguments[0]))));
    constexpr std::string_view kLetters = "CAD";
    for (const auto& change : answer.is_array() ? answer.get_array() : json::Array{}) {
      if (!change.is_object()) continue;
      auto kind = static_cast<std::size_t>(json::int_or(change.get_object(), "Kind"));
      cli.out(fmt::format("{} {}\n", kind < kLetters.size() ? kLetters[kind] : '?',
                          json::string_or(change.get_object(), "Path")));
    }
    return 0;
  };
  return command;
}

}  // namespace holdfast::cli
