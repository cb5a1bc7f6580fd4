#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "engine/engine_impl.h"

namespace holdfast {
namespace {

Result<ExecSession> parse_exec(const json::Object& body) {
  ExecSession session;
  ASSIGN_OR_RETURN(session.spec.args, json::get_strings(body, "Cmd"));
  if (session.spec.args.empty()) return fail(Code::kInvalidArgument, "No exec command specified");
  ASSIGN_OR_RETURN(session.spec.env, json::get_strings(body, "Env"));
  ASSIGN_OR_RETURN(auto directory, json::get_string(body, "WorkingDir"));
  if (!directory.empty()) session.spec.cwd = directory;
  ASSIGN_OR_RETURN(session.spec.terminal, json::get_bool(body, "Tty"));
  ASSIGN_OR_RETURN(session.spec.privileged, json::get_bool(body, "Privileged"));
  ASSIGN_OR_RETURN(session.user, json::get_string(body, "User"));
  ASSIGN_OR_RETURN(session.in, json::get_bool(body, "AttachStdin"));
  ASSIGN_OR_RETURN(session.out, json::get_bool(body, "AttachStdout"));
  ASSIGN_OR_RETURN(session.err, json::get_bool(body, "AttachStderr"));
  ASSIGN_OR_RETURN(session.detach_keys, json::get_string(body, "DetachKeys"));
  for (const auto& entry : session.spec.env) {
    if (entry.empty() || entry.front() == '=')
      return fail(Code::kInvalidArgument, "invalid environment variable: {}", entry);
  }
  return session;
}

std::shared_ptr<AttachSession> attach_to_exec(Engine::Impl& impl, const ContainerPtr& container,
                                              const ExecSession& session,
                                              std::unique_ptr<ClientDuplex> client) {
  AttachMode mode{.in = session.in,
                  .out = session.out,
                  .err = session.err,
                  .tty = session.spec.terminal,
                  .close_stdin = !session.spec.terminal,
                  .keep_stdin = true,
                  .await_exit = true};
  auto detached = [&impl, container, id = session.id] {
    impl.in_background([&impl, container, id] {
      impl.publish(*container, "exec_detach", {{"execID", id}});
    });
  };
  // Checked when the session was made.
  auto scanner = DetachScanner::parse(session.detach_keys);
  CHECK(scanner.has_value());
  return std::make_shared<AttachSession>(impl.parts.loop, std::move(client), mode,
                                         std::move(*scanner), detached);
}

// Starts the process of a session whose client, if any, is connected first, so that it misses
// nothing.
Status run_exec(Engine::Impl& impl, const ContainerPtr& container, const ContainerData& data,
                ExecSession session, const std::shared_ptr<AttachSession>& attached) {
  std::string id = session.id;
  if (!session.user.empty()) {
    ASSIGN_OR_RETURN(auto root, impl.parts.runtime.open_root(container->id));
    ASSIGN_OR_RETURN(
        session.spec.user,
        resolve_user(session.user, json::strings_or_empty(data.host_config, "GroupAdd"), root));
  }
  ASSIGN_OR_RETURN(auto pending,
                   impl.parts.runtime.prepare_exec({container->id, id, session.spec, session.in}));
  if (attached) RETURN_IF_ERROR(attached->begin(pending.directory()));
  impl.publish(*container, fmt::format("exec_start: {}", fmt::join(session.spec.args, " ")),
               {{"execID", id}});
  ASSIGN_OR_RETURN(auto started, pending.start());
  impl.execs.set_running(id, started.pid);
  return impl.exits.watch(
      started.monitor, [&impl, container, id, attached](const ExitRecord& record) {
        impl.execs.set_ended(id, record.code);
        if (attached) attached->exited();
        impl.in_background([&impl, container, id, record] {
          impl.publish(*container, "exec_die",
                       {{"execID", id}, {"exitCode", std::to_string(record.code)}});
          if (auto removed = impl.parts.runtime.remove_exec(container->id, id); !removed) {
            log::warn("exec {}: {}", id, removed.error().message);
          }
        });
      });
}

}  // namespace

Result<std::string> Engine::exec_create(const std::string& name, const json::Object& body) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(auto session, parse_exec(body));
  auto state = container->state();
  if (state.status == ContainerStatus::kPaused) {
    return fail(Code::kConflict, "container {} is paused, unpause the container before exec", name);
  }
  if (!state.running()) return fail(Code::kConflict, "container {} is not running", container->id);
  ASSIGN_OR_RETURN(auto scanner, DetachScanner::parse(session.detach_keys));
  (void)scanner;  // checked only
  session.id = random_hex(64);
  session.container = container->id;
  std::string id = session.id;
  std::string command = fmt::format("{}", fmt::join(session.spec.args, " "));
  impl.execs.add(std::move(session));
  impl.publish(*container, "exec_create: " + command, {{"execID", id}});
  return id;
}

Status Engine::exec_start(const std::string& exec_id, const ExecStart& options,
                          const std::function<std::unique_ptr<ClientDuplex>(bool tty)>& accept) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto known, impl.execs.get(exec_id));
  ASSIGN_OR_RETURN(auto container, impl.table.find(known.container.str()));
  ContainerData data = container->view();
  if (data.state.status == ContainerStatus::kPaused) {
    return fail(Code::kConflict, "container {} is paused, unpause the container before exec",
                container->id);
  }
  if (!data.state.running())
    return fail(Code::kConflict, "container {} is not running", container->id);
  ASSIGN_OR_RETURN(auto session, impl.execs.claim_start(exec_id));
  if (options.console_size) session.spec.console_size = *options.console_size;
  std::shared_ptr<AttachSession> attached;
  if (!options.detach)
    attached = attach_to_exec(impl, container, session, accept(session.spec.terminal));
  auto status = run_exec(impl, container, data, session, attached);
  if (status) return {};
  int code = start_failure_exit_code(status.error());
  impl.execs.set_ended(exec_id, code == 127 ? code : 126);
  if (!attached) return status;
  // The connection has left HTTP: what went wrong is told where the output would be.
  attached->fail(status.error().message);
  return {};
}

Result<json::Object> Engine::exec_inspect(const std::string& exec_id) const {
  ASSIGN_OR_RETURN(auto session, impl_->execs.get(exec_id));
  const auto& args = session.spec.args;
  json::Object process{{"tty", session.spec.terminal},
                       {"entrypoint", args[0]},
                       {"arguments", json::from_strings({args.begin() + 1, args.end()})},
                       {"privileged", session.spec.privileged}};
  if (!session.user.empty()) process["user"] = session.user;
  return json::Object{
      {"ID", session.id},
      {"Running", session.running},
      {"ExitCode", session.exit_code ? json::Value(*session.exit_code) : json::Value()},
      {"ProcessConfig", std::move(process)},
      {"OpenStdin", session.in},
      {"OpenStderr", session.err},
      {"OpenStdout", session.out},
      {"CanRemove", session.exit_code.has_value()},
      {"ContainerID", session.container.str()},
      {"DetachKeys", ""},
      {"Pid", session.pid}};
}

Status Engine::exec_resize(const std::string& exec_id, unsigned height, unsigned width) {
  ASSIGN_OR_RETURN(auto session, impl_->execs.get(exec_id));
  if (!session.running) return fail(Code::kConflict, "exec {} is not running", exec_id);
  return resize_terminal(impl_->parts.runtime.exec_directory(session.container, exec_id), height,
                         width);
}

}  // namespace holdfast
