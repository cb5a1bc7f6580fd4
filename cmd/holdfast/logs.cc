#include <memory>

#include "base/file.h"
#include "client/terminal.h"
#include "verbs.h"
#include "wire/stream_frame.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

struct LogsOptions {
  bool follow = false, timestamps = false, details = false;
  std::string since, until, tail = "all";
};

Status copy_logs(client::Response& response, bool framed) {
  wire::FrameDecoder decoder;
  std::string buffer(64 << 10, '\0');
  while (true) {
    ASSIGN_OR_RETURN(auto got, response.read(buffer.data(), buffer.size()));
    if (got == 0) return {};
    std::string_view bytes = std::string_view(buffer).substr(0, got);
    if (!framed) {
      RETURN_IF_ERROR(write_all(client::kStdout, bytes));
      continue;
    }
    RETURN_IF_ERROR(decoder.feed(bytes, [](wire::StreamKind kind, std::string_view part) -> Status {
      if (kind == wire::StreamKind::kSystemError)
        return fail(Code::kInternal, "error from daemon in stream: {}", part);
      return write_all(kind == wire::StreamKind::kStderr ? client::kStderr : client::kStdout, part);
    }));
  }
}

Result<int> show_logs(Cli& cli, const LogsOptions& options, const std::string& name) {
  ASSIGN_OR_RETURN(auto inspected,
                   cli.engine().get(fmt::format("/containers/{}/json", url_escape(name))));
  if (!inspected.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  const auto& container = inspected.get_object();
  bool tty = json::bool_or(json::object_or_empty(container, "Config"), "Tty");
  Query query{{"stdout", "1"}, {"stderr", "1"}, {"tail", options.tail}};
  if (options.follow) query.emplace_back("follow", "1");
  if (options.timestamps) query.emplace_back("timestamps", "1");
  if (options.details) query.emplace_back("details", "1");
  if (!options.since.empty()) {
    ASSIGN_OR_RETURN(auto moment, moment_parameter("since", options.since));
    query.emplace_back("since", moment);
  }
  if (!options.until.empty()) {
    ASSIGN_OR_RETURN(auto moment, moment_parameter("until", options.until));
    query.emplace_back("until", moment);
  }
  std::string id = json::string_or(container, "Id", name);
  ASSIGN_OR_RETURN(auto response,
                   cli.engine().open({}, fmt::format("/containers/{}/logs", id), query));
  RETURN_IF_ERROR(copy_logs(response, !tty));
  return 0;
}

}  // namespace

Command logs_command() {
  auto options = std::make_shared<LogsOptions>();
  Command command;
  command.arguments = "[OPTIONS] CONTAINER";
  command.summary = "Fetch the logs of a container";
  command.examples =
      "  holdfast logs -f --tail 100 db\n"
      "  holdfast logs --since 10m -t web\n";
  command.min_arguments = command.max_arguments = 1;
  auto& flags = command.flags;
  flags.flag("details", 0, options->details, "Show extra details provided to logs");
  flags.flag("follow", 'f', options->follow, "Follow log output");
  flags.flag("since", 0, options->since,
             "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" "
             "for 42 minutes)");
  flags.flag("tail", 'n', options->tail,
             "Number of lines to show from the end of the logs (default \"all\")");
  flags.flag("timestamps", 't', options->timestamps, "Show timestamps");
  flags.flag("until", 0, options->until,
             "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. "
             "\"42m\" for 42 minutes)");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return show_logs(cli, *options, arguments[0]);
  };
  return command;
}

}  // namespace holdfast::cli
