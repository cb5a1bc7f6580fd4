#include <memory>

#include "client/terminal.h"
#include "container_create.h"
#include "container_session.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct RunOptions {
  client::ContainerOptions container;
  bool detach = false;
  bool proxy_signals = true;
  std::string detach_keys;
};

bool asked_for(const client::ContainerOptions& options, std::string_view lower,
               std::string_view upper) {
  for (const auto& name : options.attach)
    if (name == lower || name == upper) return true;
  return false;
}

AttachOptions attach_options(Cli& cli, const RunOptions& options) {
  const auto& container = options.container;
  bool all = container.attach.empty();
  AttachOptions attach;
  attach.tty = container.tty;
  attach.input = container.interactive || asked_for(container, "stdin", "STDIN");
  attach.output = all || asked_for(container, "stdout", "STDOUT");
  attach.errors = all || asked_for(container, "stderr", "STDERR");
  attach.proxy_signals = options.proxy_signals;
  attach.detach_keys = detach_keys(cli, options.detach_keys);
  return attach;
}

Status start(Cli& cli, const std::string& id) {
  RETURN_IF_ERROR(cli.engine().post(fmt::format("/containers/{}/start", url_escape(id))));
  return {};
}

int report(Cli& cli, const Error& error, int code) {
  cli.err(with_hint("run", error));
  return code;
}

// -d: the container is on its own.
int run_detached(Cli& cli, const std::string& id) {
  if (auto started = start(cli, id); !started)
    return report(cli, started.error(), start_failure_code(started.error().message));
  cli.out(id + "\n");
  return 0;
}

// In the foreground: attach before the start so that no output is missed, and ask to be told of the
// exit before it can happen.
int run_attached(Cli& cli, const RunOptions& options, const std::string& id) {
  auto attached = AttachedContainer::attach(cli, id, attach_options(cli, options));
  if (!attached) return report(cli, attached.error(), 125);
  auto exit = ContainerWait::open(cli, id, options.container.remove ? "removed" : "next-exit");
  if (!exit) return report(cli, exit.error(), 125);
  if (auto begun = attached->begin(); !begun) return report(cli, begun.error(), 125);
  if (auto started = start(cli, id); !started) {
    attached->session().restore_terminal();
    Error error = started.error();
    // With --rm the daemon removes it; the command ends when it is gone.
    if (options.container.remove) (void)exit->finish(&attached->session());
    return report(cli, error, start_failure_code(error.message));
  }
  attached->session().send_size();
  auto detached = attached->pump();
  if (!detached) return report(cli, detached.error(), 125);
  if (*detached) return 0;
  auto code = exit->finish(&attached->session());
  if (!code) return report(cli, code.error(), 125);
  return *code;
}

Result<int> run(Cli& cli, RunOptions& options, const Arguments& arguments) {
  auto& container = options.container;
  if (options.detach && !container.attach.empty())
    return fail(Code::kInvalidArgument,
                "conflicting options: cannot specify both --attach and --detach");
  if (container.tty && container.interactive && !options.detach &&
      !client::is_terminal(client::kStdin)) {
    cli.err("the input device is not a TTY\n");
    return 1;
  }
  auto config = check_container(container, arguments);
  if (!config) return report(cli, config.error(), 125);
  auto id = create_container(cli, container, arguments[0], std::move(*config));
  if (!id) return report(cli, id.error(), 125);
  return options.detach ? run_detached(cli, *id) : run_attached(cli, options, *id);
}

}  // namespace

Command run_command() {
  auto options = std::make_shared<RunOptions>();
  Command command;
  command.arguments = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
  command.summary = "Create and run a new container from an image";
  command.examples =
      "  holdfast run -it --rm alpine sh\n"
      "  holdfast run -d --name db -e POSTGRES_PASSWORD=secret \\\n"
      "      -v pgdata:/var/lib/postgresql/data postgres       # data in a named volume\n"
      "  holdfast run --rm -v \"$PWD\":/app -w /app node npm run dev\n"
      "  holdfast run --mount type=tmpfs,dst=/scratch,tmpfs-size=64m -p 8080:80 nginx\n";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.stop_at_first_argument = true;
  options->container.add_to(command.flags);
  command.flags.flag("detach", 'd', options->detach,
                     "Run container in background and print container ID");
  command.flags.flag("detach-keys", 0, options->detach_keys,
                     "Override the key sequence for detaching a container");
  command.flags.flag("sig-proxy", 0, options->proxy_signals,
                     "Proxy received signals to the process (default true)");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return run(cli, *options, arguments);
  };
  return command;
}

}  // namespace holdfast::cli
