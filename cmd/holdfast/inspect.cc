#include <memory>

#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct InspectOptions {
  std::string format, type, platform;
  bool size = false, verbose = false;
};

struct Kind {
  std::string_view name;
  std::string_view prefix, suffix;  // around the name in the route
};
constexpr Kind kContainer{"container", "/containers/", "/json"};
constexpr Kind kImage{"image", "/images/", "/json"};
constexpr Kind kNetwork{"network", "/networks/", ""};
constexpr Kind kVolume{"volume", "/volumes/", ""};
constexpr Kind kSecret{"secret", "/secrets/", ""};
constexpr Kind kPlugin{"plugin", "/plugins/", "/json"};
constexpr Kind kKinds[] = {kContainer, kImage, kNetwork, kVolume, kSecret, kPlugin};

Result<json::Value> inspect_one(Cli& cli, const Kind& kind, const std::string& name,
                                const InspectOptions& options) {
  Query query;
  if (options.size && kind.name == "container") query.emplace_back("size", "1");
  if (options.verbose && kind.name == "network") query.emplace_back("verbose", "true");
  return cli.engine().get(fmt::format("{}{}{}", kind.prefix, url_escape(name), kind.suffix), query);
}

// Tries each kind of object until one has that name.
Result<json::Value> inspect_any(Cli& cli, const std::string& name, const InspectOptions& options) {
  for (const auto& kind : kKinds) {
    auto found = inspect_one(cli, kind, name, options);
    if (found) return found;
    // Daemons that don't know plugins say so with other codes.
    if (found.error().code == Code::kUnavailable) return found;
    if (found.error().code != Code::kNotFound && kind.name != "plugin") return found;
  }
  return fail(Code::kNotFound, "Error: No such object: {}", name);
}

Result<int> inspect(Cli& cli, const Arguments& names, const InspectOptions& options,
                    const Kind* kind) {
  if (!options.format.empty() && options.format != "json") {
    if (auto parsed = client::Template::parse(options.format); !parsed) {
      cli.err(fmt::format("template parsing error: template: {}\n", parsed.error().message));
      return 64;
    }
  }
  json::Array found;
  std::vector<std::string> errors;
  std::string text;
  for (const auto& name : names) {
    auto object = kind ? inspect_one(cli, *kind, name, options) : inspect_any(cli, name, options);
    if (!object) {
      errors.push_back(object.error().message);
      continue;
    }
    if (options.format.empty()) {
      found.push_back(std::move(*object));
      continue;
    }
    auto line = client::render_object(options.format, *object);
    if (line)
      text += *line;
    else
      errors.push_back(line.error().message);
  }
  if (options.format.empty())
    cli.out(client::pretty_json(found) + "\n");
  else
    // Docker ends with a line break when a template produced nothing because all failed.
    cli.out(text.empty() ? "\n" : text);
  for (const auto& error : errors) cli.err(error + "\n");
  return errors.empty() ? 0 : 1;
}

// 2026-01-02 15:04:05.6 +0000 utc, as Docker shows it.
std::string pretty_time(const json::Object& secret, std::string_view key) {
  std::string text = json::string_or(secret, key);
  if (auto t = text.find('T'); t != std::string::npos) text[t] = ' ';
  if (text.ends_with('Z')) text.replace(text.size() - 1, 1, " +0000 utc");
  return text;
}

std::string pretty_secret(const json::Object& secret) {
  const auto& spec = json::object_or_empty(secret, "Spec");
  std::string text = fmt::format("ID:              {}\nName:              {}\n",
                                 json::string_or(secret, "ID"), json::string_or(spec, "Name"));
  const auto& labels = json::object_or_empty(spec, "Labels");
  if (!labels.empty()) text += "Labels:\n";
  for (const auto& [name, value] : json::string_map_or_empty(spec, "Labels"))
    text += fmt::format(" - {}{}{}\n", name, value.empty() ? "" : "=", value);
  return text + fmt::format("Driver:            {}\nCreated at:        {}\nUpdated at:        {}\n",
                            json::string_or(json::object_or_empty(spec, "Driver"), "Name"),
                            pretty_time(secret, "CreatedAt"), pretty_time(secret, "UpdatedAt"));
}

Result<int> inspect_prettily(Cli& cli, const Arguments& names) {
  return for_each_target(
      cli, names,
      [&](const std::string& name) -> Status {
        ASSIGN_OR_RETURN(auto secret, inspect_one(cli, kSecret, name, {}));
        if (secret.is_object()) cli.out(pretty_secret(secret.get_object()));
        return {};
      },
      false);
}

Command make_inspect(std::string_view what, std::string_view placeholder, const Kind* kind) {
  auto options = std::make_shared<InspectOptions>();
  Command command;
  command.arguments = fmt::format("[OPTIONS] {0} [{0}...]", placeholder);
  command.summary = what;
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  add_format_flag(command.flags, 'f', options->format);
  if (!kind || kind->name == "container")
    command.flags.flag("size", 's', options->size,
                       "Display total file sizes if the type is container");
  if (kind && kind->name == "network")
    command.flags.flag("verbose", 'v', options->verbose, "Verbose output for diagnostics");
  if (kind && kind->name == "image")
    command.flags.flag("platform", 0, options->platform,
                       "Inspect a specific platform of the multi-platform image");
  command.run = [options, kind](Cli& cli, const Arguments& names) {
    return inspect(cli, names, *options, kind);
  };
  return command;
}

}  // namespace

Command inspect_command() {
  auto options = std::make_shared<InspectOptions>();
  Command command =
      make_inspect("Return low-level information on Holdfast's objects", "NAME|ID", nullptr);
  command.flags = {};
  add_format_flag(command.flags, 'f', options->format);
  command.flags.flag("size", 's', options->size,
                     "Display total file sizes if the type is container");
  command.flags.flag("type", 0, options->type,
                     "Only inspect objects of the given type (container, image, network, secret, "
                     "volume, plugin)");
  command.examples =
      "  holdfast inspect db\n"
      "  holdfast inspect -f '{{.State.Status}}' db\n"
      "  holdfast inspect -f '{{range .Mounts}}{{.Name}} {{.Destination}}{{println}}{{end}}' db\n";
  command.run = [options](Cli& cli, const Arguments& names) -> Result<int> {
    if (options->type.empty()) return inspect(cli, names, *options, nullptr);
    for (const auto& kind : kKinds)
      if (kind.name == options->type) return inspect(cli, names, *options, &kind);
    return fail(Code::kInvalidArgument,
                "unknown type: \"{}\": must be one of \"container\", \"image\", \"network\", "
                "\"plugin\", \"secret\", \"volume\"",
                options->type);
  };
  return command;
}

Command container_inspect_command() {
  return make_inspect("Display detailed information on one or more containers", "CONTAINER",
                      &kContainer);
}
Command image_inspect_command() {
  return make_inspect("Display detailed information on one or more images", "IMAGE", &kImage);
}
Command network_inspect_command() {
  return make_inspect("Display detailed information on one or more networks", "NETWORK", &kNetwork);
}
Command plugin_inspect_command() {
  return make_inspect("Display detailed information on one or more plugins", "PLUGIN", &kPlugin);
}
Command volume_inspect_command() {
  return make_inspect("Display detailed information on one or more volumes", "VOLUME", &kVolume);
}

Command secret_inspect_command() {
  auto pretty = std::make_shared<bool>(false);
  Command command =
      make_inspect("Display detailed information on one or more secrets", "SECRET", &kSecret);
  command.flags.flag("pretty", 0, *pretty, "Print the information in a human friendly format");
  command.run = [pretty, plain = command.run](Cli& cli, const Arguments& names) -> Result<int> {
    return *pretty ? inspect_prettily(cli, names) : plain(cli, names);
  };
  return command;
}

}  // namespace holdfast::cli
