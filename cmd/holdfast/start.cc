#include <memory>

#include "container_session.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct StartOptions {
  bool attach = false, interactive = false, proxy_signals = true;
  std::string detach_keys;
};

Status start(Cli& cli, const std::string& name) {
  RETURN_IF_ERROR(cli.engine().post(fmt::format("/containers/{}/start", url_escape(name))));
  return {};
}

Result<int> start_attached(Cli& cli, const StartOptions& options, const std::string& name) {
  ASSIGN_OR_RETURN(auto inspected,
                   cli.engine().get(fmt::format("/containers/{}/json", url_escape(name))));
  const auto& container = inspected.as_object();
  const auto& config = json::object_or_empty(container, "Config");
  std::string id = json::string_or(container, "Id", name);
  AttachOptions attach;
  attach.tty = json::bool_or(config, "Tty");
  attach.input = options.interactive && json::bool_or(config, "OpenStdin");
  attach.proxy_signals = options.proxy_signals && !attach.tty;
  attach.detach_keys = detach_keys(cli, options.detach_keys);
  ASSIGN_OR_RETURN(auto attached, AttachedContainer::attach(cli, id, attach));
  bool removed = json::bool_or(json::object_or_empty(container, "HostConfig"), "AutoRemove");
  ASSIGN_OR_RETURN(auto exit, ContainerWait::open(cli, id, removed ? "removed" : "next-exit"));
  RETURN_IF_ERROR(attached.begin());
  RETURN_IF_ERROR(start(cli, id));
  attached.session().send_size();
  ASSIGN_OR_RETURN(bool detached, attached.pump());
  if (detached) return 0;
  return exit.finish(&attached.session());
}

}  // namespace

Command start_command() {
  auto options = std::make_shared<StartOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER [CONTAINER...]";
  command.summary = "Start one or more stopped containers";
  command.examples =
      "  holdfast start db web\n"
      "  holdfast start -ai shell   # with its terminal\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("attach", 'a', options->attach, "Attach STDOUT/STDERR and forward signals");
  command.flags.flag("interactive", 'i', options->interactive, "Attach container's STDIN");
  command.flags.flag("detach-keys", 0, options->detach_keys,
                     "Override the key sequence for detaching a container");
  command.flags.flag("sig-proxy", 0, options->proxy_signals, "");
  command.flags.hide("sig-proxy");
  command.run = [options](Cli& cli, const Arguments& names) -> Result<int> {
    if (!options->attach && !options->interactive) {
      int code =
          for_each_target(cli, names, [&](const std::string& name) { return start(cli, name); });
      if (code != 0)
        cli.err(fmt::format("Error: failed to start containers: {}\n", fmt::join(names, ", ")));
      return code;
    }
    if (names.size() > 1)
      return fail(Code::kInvalidArgument,
                  "you cannot start and attach multiple containers at once");
    return start_attached(cli, *options, names[0]);
  };
  return command;
}

}  // namespace holdfast::cli
