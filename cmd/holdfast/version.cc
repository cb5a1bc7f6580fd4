#include <sys/utsname.h>

#include <memory>

#include "verbs.h"

namespace holdfast::cli {
namespace {

std::string architecture() {
  utsname name{};
  ::uname(&name);
  std::string machine = name.machine;
  return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
}

json::Object client_version(Cli& cli) {
  return {{"Platform", json::Object{{"Name", "Holdfast"}}},
          {"Version", HOLDFAST_VERSION},
          {"APIVersion", cli.engine().api_version().value_or(std::string(client::kApiVersion))},
          {"DefaultAPIVersion", client::kApiVersion},
          {"Os", "linux"},
          {"Arch", architecture()},
          {"Context", "default"}};
}

std::string server_text(const json::Object& server) {
  std::string platform = json::string_or(json::object_or_empty(server, "Platform"), "Name");
  std::string text = fmt::format("\nServer:{}{}\n", platform.empty() ? "" : " ", platform);
  for (const auto& each : json::array_or_empty(server, "Components")) {
    if (!each.is_object()) continue;
    const auto& component = each.get_object();
    text += fmt::format(" {}:\n  {:<17} {}\n", json::string_or(component, "Name"),
                        "Version:", json::string_or(component, "Version"));
    const auto& details = json::object_or_empty(component, "Details");
    for (auto [label, key] :
         {std::pair{"API version:", "ApiVersion"}, std::pair{"Git commit:", "GitCommit"},
          std::pair{"Built:", "BuildTime"}, std::pair{"OS/Arch:", "Os"}}) {
      std::string value = json::string_or(details, key);
      if (value.empty()) continue;
      if (std::string_view(key) == "ApiVersion")
        value += fmt::format(" (minimum version {})", json::string_or(details, "MinAPIVersion"));
      if (std::string_view(key) == "Os") value += "/" + json::string_or(details, "Arch");
      text += fmt::format("  {:<17} {}\n", label, value);
    }
  }
  return text;
}

Result<int> show_version(Cli& cli, const std::string& format) {
  auto server = cli.engine().get("/version");
  json::Object client = client_version(cli);
  bool known = server && server->is_object();
  if (known) {  // Go's name for it, which templates use
    auto& fields = server->get_object();
    fields["APIVersion"] = json::string_or(fields, "ApiVersion");
  }
  if (!format.empty()) {
    json::Object both{{"Client", client},
                      {"Server", known ? json::Value(*server) : json::Value(nullptr)}};
    ASSIGN_OR_RETURN(auto text, client::render_object(format, both));
    cli.out(text);
  } else {
    std::string api = json::string_or(client, "APIVersion");
    if (api != client::kApiVersion)
      api += fmt::format(" (downgraded from {})", client::kApiVersion);
    cli.out(fmt::format("Client: Holdfast\n {:<18} {}\n {:<18} {}\n {:<18} linux/{}\n", "Version:",
                        HOLDFAST_VERSION, "API version:", api, "OS/Arch:", architecture()));
    if (known) cli.out(server_text(server->get_object()));
  }
  if (server) return 0;
  return tl::unexpected(std::move(server).error());
}

}  // namespace

Command version_command() {
  auto format = std::make_shared<std::string>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "Show the Holdfast version information";
  command.examples = "  holdfast version --format '{{.Server.Version}}'\n";
  add_format_flag(command.flags, 'f', *format);
  command.run = [format](Cli& cli, const Arguments&) { return show_version(cli, *format); };
  return command;
}

}  // namespace holdfast::cli
