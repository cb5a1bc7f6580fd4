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
constexpr Kind kPlugin{"plugin", "/plugins/", "/json"};
constexpr Kind kKinds[] = {kContainer, kImage, kNetwork, kVolume, kPlugin};

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
                     "Only inspect objects of the given type (container, image, network, volume, "
                     "plugin)");
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
                "\"plugin\", \"volume\"",
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

}  // namespace holdfast::cli
