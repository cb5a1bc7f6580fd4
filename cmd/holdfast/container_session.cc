#include "container_session.h"

#include <signal.h>

#include <array>

namespace holdfast::cli {

using client::url_escape;

std::string signal_name(int number) {
  struct Name {
    int number;
    std::string_view name;
  };
  constexpr std::array<Name, 9> kNames = {{{SIGHUP, "HUP"},
                                           {SIGINT, "INT"},
                                           {SIGQUIT, "QUIT"},
                                           {SIGTERM, "TERM"},
                                           {SIGUSR1, "USR1"},
                                           {SIGUSR2, "USR2"},
                                           {SIGALRM, "ALRM"},
                                           {SIGCONT, "CONT"},
                                           {SIGWINCH, "WINCH"}}};
  for (auto [value, name] : kNames)
    if (value == number) return std::string(name);
  return fmt::format("{}", number);
}

std::function<void(client::WindowSize)> resizer(Cli& cli, const std::string& route) {
  return [&cli, route](client::WindowSize size) {
    // A container that has just ended has no terminal to resize; nothing is lost by that.
    (void)cli.engine().post(
        route, {{"h", fmt::format("{}", size.rows)}, {"w", fmt::format("{}", size.columns)}});
  };
}

std::function<void(int)> signal_forwarder(Cli& cli, const std::string& container) {
  return [&cli, container](int number) {
    (void)cli.engine().post(fmt::format("/containers/{}/kill", url_escape(container)),
                            {{"signal", signal_name(number)}});
  };
}

std::string detach_keys(Cli& cli, const std::string& option) {
  return option.empty() ? cli.config().text("detachKeys") : option;
}

Result<AttachedContainer> AttachedContainer::attach(Cli& cli, const std::string& id,
                                                    const AttachOptions& options) {
  Query query{{"stream", "1"}};
  if (options.input) query.emplace_back("stdin", "1");
  if (options.output) query.emplace_back("stdout", "1");
  if (options.errors) query.emplace_back("stderr", "1");
  if (options.logs) query.emplace_back("logs", "1");
  if (!options.detach_keys.empty()) query.emplace_back("detachKeys", options.detach_keys);
  ASSIGN_OR_RETURN(
      auto hijacked,
      cli.engine().hijack(fmt::format("/containers/{}/attach", url_escape(id)), query, nullptr));
  return AttachedContainer(cli, id, options, std::move(hijacked.stream));
}

Status AttachedContainer::begin() {
  client::SessionOptions session;
  session.tty = options_.tty;
  session.input = options_.input;
  session.output = options_.output;
  session.errors = options_.errors;
  session.detach_keys = options_.detach_keys;
  if (options_.tty)
    session.resize = resizer(*cli_, fmt::format("/containers/{}/resize", url_escape(id_)));
  if (options_.proxy_signals) session.forward_signal = signal_forwarder(*cli_, id_);
  cli_->flush();
  ASSIGN_OR_RETURN(auto started, client::Session::start(std::move(session)));
  session_.emplace(std::move(started));
  return {};
}

Result<bool> AttachedContainer::pump() {
  ASSIGN_OR_RETURN(auto end, session_->pump(stream_));
  session_->restore_terminal();
  return end == client::Session::End::kDetached;
}

Result<ContainerWait> ContainerWait::open(Cli& cli, const std::string& id,
                                          std::string_view condition) {
  client::Request request;
  request.method = "POST";
  Query query;
  if (condition != "not-running") query.emplace_back("condition", condition);
  ASSIGN_OR_RETURN(auto response,
                   cli.engine().open(std::move(request),
                                     fmt::format("/containers/{}/wait", url_escape(id)), query));
  return ContainerWait(std::move(response));
}

Result<int> ContainerWait::finish(client::Session* session) {
  if (session && !response_.pending()) RETURN_IF_ERROR(session->wait_readable(response_.fd()));
  ASSIGN_OR_RETURN(auto body, response_.read_all());
  ASSIGN_OR_RETURN(auto result, json::parse_object(body));
  const auto& problem = json::object_or_empty(result, "Error");
  if (auto message = json::string_or(problem, "Message"); !message.empty())
    return fail(Code::kInternal, "Error waiting for container: {}", message);
  return static_cast<int>(json::int_or(result, "StatusCode"));
}

int start_failure_code(std::string_view message) {
  auto says = [&](std::string_view text) { return message.find(text) != std::string_view::npos; };
  if (says("executable file not found") || says("no such file or directory") ||
      says("system cannot find the file specified"))
    return 127;
  if (says("permission denied") || says("is a directory")) return 126;
  return 125;
}

}  // namespace holdfast::cli
