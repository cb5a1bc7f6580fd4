// Exec sessions: a conmon of their own each.
#include <fcntl.h>

#include "base/file.h"
#include "runtime/runtime_failure.h"
#include "runtime/runtime_impl.h"

namespace holdfast {
namespace {

constexpr auto kEndPatience = std::chrono::seconds(10);

}  // namespace

struct PendingExec::Impl {
  StartingMonitor monitor;
  std::string directory;
  std::string command;
};

PendingExec::PendingExec(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PendingExec::PendingExec(PendingExec&&) noexcept = default;
PendingExec& PendingExec::operator=(PendingExec&&) noexcept = default;
PendingExec::~PendingExec() = default;

const std::string& PendingExec::directory() const { return impl_->directory; }

Result<PendingExec::Started> PendingExec::start() {
  RETURN_IF_ERROR(impl_->monitor.release());
  auto pid = impl_->monitor.wait_for_pid();
  if (pid) {
    Started started{*pid, describe_monitor(impl_->monitor.pid(), impl_->directory)};
    impl_->monitor.detach();
    return started;
  }
  if (pid.error().code != Code::kUnavailable) return tl::unexpected(std::move(pid).error());
  return tl::unexpected(
      describe_runtime_failure(RuntimeStep::kExec, pid.error().message, impl_->command));
}

Result<PendingExec> Runtime::prepare_exec(const ExecRequest& request) {
  const auto& id = request.container;
  ASSIGN_OR_RETURN(auto choice, impl_->choice_of(id));
  ASSIGN_OR_RETURN(auto config, read_file(container_directory(id) + "/config.json"));
  ASSIGN_OR_RETURN(auto process, build_exec_process(request.spec, config));
  std::string directory = exec_directory(id, request.exec_id);
  RETURN_IF_ERROR(make_monitor_directory(directory));
  {
    ASSIGN_OR_RETURN(auto file, open_file(directory + "/process.json", O_WRONLY | O_CREAT, 0600));
    RETURN_IF_ERROR(write_all(file, process));
  }
  MonitorPlan plan;
  plan.program = impl_->conmon;
  plan.directory = directory;
  plan.arguments = impl_->monitor_arguments(choice, id, request.exec_id, directory);
  plan.arguments.insert(plan.arguments.end(), {"--log-path", "none", "--exec", "--exec-attach",
                                               "--exec-process-spec", directory + "/process.json"});
  if (request.spec.terminal) plan.arguments.emplace_back("--terminal");
  if (request.stdin_open) plan.arguments.emplace_back("--stdin");
  if (request.spec.terminal) plan.arguments.emplace_back("--leave-stdin-open");
  plan.temporary_directory = impl_->temporary_directory();
  plan.waits_for_attach = true;
  plan.surroundings.pid_file = directory + "/conmon.pid";
  plan.surroundings.hidden_mount = choice.hidden_mount(impl_->host.cgroups);
  plan.surroundings.read_only_program = choice.read_only_program();
  ASSIGN_OR_RETURN(auto monitor, StartingMonitor::spawn(plan));
  monitor.join(impl_->monitor_groups);
  RETURN_IF_ERROR(monitor.wait_for_socket());
  return PendingExec(std::make_unique<PendingExec::Impl>(
      PendingExec::Impl{std::move(monitor), directory, request.spec.args.front()}));
}

Status Runtime::remove_exec(const ContainerId& id, const std::string& exec_id) {
  std::string directory = exec_directory(id, exec_id);
  if (!file_exists(directory)) return {};
  impl_->end_monitor(directory, kEndPatience);
  return remove_monitor_directory(directory);
}

}  // namespace holdfast
