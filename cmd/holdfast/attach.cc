#include <memory>

#include "client/terminal.h"
#include "container_session.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct AttachVerbOptions {
  bool no_stdin = false, proxy_signals = true;
  std::string detach_keys;
};

Status check_attachable(const json::Object& container) {
  const auto& state = json::object_or_empty(container, "State");
  if (!json::bool_or(state, "Running"))
    return fail(Code::kFailedPrecondition,
                "You cannot attach to a stopped container, start it first");
  if (json::bool_or(state, "Paused"))
    return fail(Code::kFailedPrecondition,
                "You cannot attach to a paused container, unpause it first");
  if (json::bool_or(state, "Restarting"))
    return fail(Code::kFailedPrecondition,
                "You cannot attach to a restarting container, wait until it is running");
  return {};
}

Result<int> attach(Cli& cli, const AttachVerbOptions& options, const std::string& name) {
  ASSIGN_OR_RETURN(auto inspected,
                   cli.engine().get(fmt::format("/containers/{}/json", url_escape(name))));
  if (!inspected.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  const auto& container = inspected.get_object();
  RETURN_IF_ERROR(check_attachable(container));
  const auto& config = json::object_or_empty(container, "Config");
  AttachOptions attach;
  attach.tty = json::bool_or(config, "Tty");
  attach.input = !options.no_stdin && json::bool_or(config, "OpenStdin");
  attach.proxy_signals = options.proxy_signals && !attach.tty;
  attach.detach_keys = detach_keys(cli, options.detach_keys);
  if (attach.tty && attach.input && !client::is_terminal(client::kStdin))
    return fail(Code::kInvalidArgument, "the input device is not a TTY");
  std::string id = json::string_or(container, "Id", name);
  ASSIGN_OR_RETURN(auto exit, ContainerWait::open(cli, id, "not-running"));
  ASSIGN_OR_RETURN(auto attached, AttachedContainer::attach(cli, id, attach));
  RETURN_IF_ERROR(attached.begin());
  attached.session().redraw();
  ASSIGN_OR_RETURN(bool detached, attached.pump());
  if (detached) {
    cli.err("read escape sequence\n");
    return 1;
  }
  return exit.finish(&attached.session());
}

}  // namespace

Command attach_command() {
  auto options = std::make_shared<AttachVerbOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER";
  command.summary = "Attach local standard input, output, and error streams to a running container";
  command.examples = "  holdfast attach shell   # Ctrl-P Ctrl-Q leaves it running\n";
  command.min_arguments = command.max_arguments = 1;
  command.flags.flag("detach-keys", 0, options->detach_keys,
                     "Override the key sequence for detaching a container");
  command.flags.flag("no-stdin", 0, options->no_stdin, "Do not attach STDIN");
  command.flags.flag("sig-proxy", 0, options->proxy_signals,
                     "Proxy all received signals to the process (default true)");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return attach(cli, *options, arguments[0]);
  };
  return command;
}

}  // namespace holdfast::cli
