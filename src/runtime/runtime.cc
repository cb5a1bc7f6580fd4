#include "runtime/runtime.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "runtime/mount_check.h"
#include "runtime/oci_resources.h"
#include "runtime/runtime_failure.h"
#include "runtime/runtime_impl.h"

namespace holdfast {
namespace {

constexpr auto kEndPatience = std::chrono::seconds(10);
constexpr std::size_t kLongestTemporary = 80;  // conmon puts a socket there: 107 bytes at most

// Mount points for the container's root and each detached mount: directories or files, as they are.
Result<std::vector<std::string>> make_stage(const CreateRequest& request,
                                            const std::string& directory) {
  RETURN_IF_ERROR(make_directories(directory + "/rootfs", 0711));
  RETURN_IF_ERROR(make_directories(directory + "/mounts", 0711));
  std::vector<std::string> stage;
  for (const auto& mount : request.spec.mounts) {
    stage.push_back(fmt::format("{}/mounts/{}", directory, stage.size()));
    if (!mount.tree.valid()) continue;
    struct stat status = {};
    if (::fstat(mount.tree.get(), &status) != 0) return fail_errno("stat \"{}\"", mount.source);
    if (S_ISDIR(status.st_mode)) {
      RETURN_IF_ERROR(make_directories(stage.back(), 0711));
    } else {
      ASSIGN_OR_RETURN(auto file, open_file(stage.back(), O_WRONLY | O_CREAT, 0600));
    }
  }
  return stage;
}

std::vector<std::pair<BorrowedFd, std::string>> staged_mounts(
    const CreateRequest& request, const std::string& directory,
    const std::vector<std::string>& stage) {
  std::vector<std::pair<BorrowedFd, std::string>> result;
  if (request.rootfs.valid()) result.emplace_back(request.rootfs, directory + "/rootfs");
  for (std::size_t i = 0; i < stage.size(); ++i) {
    if (request.spec.mounts[i].tree.valid()) {
      result.emplace_back(request.spec.mounts[i].tree, stage[i]);
    }
  }
  return result;
}

// conmon cuts the path of its log at a colon: such a path goes by way of a link.
Result<std::string> log_argument(const std::string& log_path, const std::string& directory) {
  if (log_path.empty()) return std::string("none");
  if (log_path.find(':') == std::string::npos) return "k8s-file:" + log_path;
  std::string link = directory + "/log";
  if (::symlink(log_path.c_str(), link.c_str()) != 0) return fail_errno("link \"{}\"", link);
  return std::string("k8s-file:log");  // conmon works in `directory`
}

// The sources the client knows, where the runtime spoke of our stage.
std::string name_sources(std::string text, const CreateRequest& request,
                         const std::vector<std::string>& stage) {
  for (std::size_t i = stage.size(); i-- > 0;) {
    const auto& source = request.spec.mounts[i].source;
    if (source.empty()) continue;
    for (auto at = text.find(stage[i]); at != std::string::npos;
         at = text.find(stage[i], at + source.size())) {
      text.replace(at, stage[i].size(), source);
    }
  }
  return text;
}

Status signal_process(BorrowedFd pidfd, int number) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) != 0) {
    return fail_errno("signal {}", number);
  }
  return {};
}

Result<pid_t> read_pid(const std::string& path) {
  ASSIGN_OR_RETURN(auto text, read_file(path));
  auto pid = std::strtol(text.c_str(), nullptr, 10);
  if (pid <= 0) return fail(Code::kNotFound, "no process id in \"{}\"", path);
  return static_cast<pid_t>(pid);
}

}  // namespace

Runtime::Runtime(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runtime::~Runtime() = default;

const std::string& Runtime::name() const { return impl_->choice.name; }
const std::string& Runtime::version() const { return impl_->choice.version; }
const std::string& Runtime::program() const { return impl_->choice.program; }
const std::string& Runtime::init_program() const { return impl_->host.init_program; }

std::string Runtime::container_directory(const ContainerId& id) const {
  return impl_->paths.container(id);
}

std::string Runtime::exec_directory(const ContainerId& id, const std::string& exec_id) const {
  return impl_->paths.exec(id, exec_id);
}

Result<std::unique_ptr<Runtime>> Runtime::open(RuntimeOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->paths.exec_root = options.exec_root;
  impl->options = std::move(options);
  for (const auto& directory :
       {impl->paths.containers(), impl->paths.exec_root + "/runtime", impl->paths.temporary()}) {
    RETURN_IF_ERROR(make_directories(directory, 0711));
  }
  ASSIGN_OR_RETURN(impl->conmon, find_system_program(impl->options.conmon));
  ASSIGN_OR_RETURN(impl->host.cgroups, CgroupLayout::detect());
  impl->host.init_program = "";
  for (const char* name : {"docker-init", "tini-static"}) {
    if (!impl->host.init_program.empty()) break;
    impl->host.init_program = find_system_program(name).value_or("");
  }
  if (!file_exists(impl->host.seccomp_profile)) impl->host.seccomp_profile = "";
  const auto& controllers = impl->host.cgroups.controllers;
  if (auto memory = controllers.find("memory"); memory != controllers.end()) {
    bool v2 = memory->second == impl->host.cgroups.unified;
    impl->host.swap_limit = v2 || file_exists(memory->second + "/memory.memsw.limit_in_bytes");
  }
  ASSIGN_OR_RETURN(impl->choice,
                   choose_runtime(impl->options.default_runtime, impl->paths, impl->host.cgroups));
  impl->monitor_groups = open_monitor_groups(impl->host.cgroups, impl->options.cgroup_parent);
  return std::unique_ptr<Runtime>(new Runtime(std::move(impl)));
}

Result<RuntimeChoice> Runtime::Impl::choice_of(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto program, read_file(paths.container(id) + "/runtime"));
  if (program == choice.program) return choice;
  return RuntimeChoice{program.substr(program.rfind('/') + 1), program, ""};
}

Status Runtime::Impl::run(const RuntimeChoice& runtime, std::vector<std::string> arguments) const {
  ChildSurroundings surroundings;
  surroundings.hidden_mount = runtime.hidden_mount(host.cgroups);
  surroundings.read_only_program = runtime.read_only_program();
  ProcessOptions process;
  process.argv = {runtime.program, "--root", paths.state(runtime.name)};
  process.argv.insert(process.argv.end(), arguments.begin(), arguments.end());
  process.clear_environment = true;
  process.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  process.prepare = [&surroundings] { return surroundings.enter(); };
  process.prepare_context = "prepare the runtime's mounts";
  ASSIGN_OR_RETURN(auto output, run_command(process));
  if (output.status.success()) return {};
  return fail(Code::kUnavailable, "{}", output.err);
}

SeccompCache Runtime::Impl::seccomp_cache() const {
  if (choice.name != "crun") return SeccompCache("", "");
  return SeccompCache(paths.exec_root + "/runtime/seccomp", choice.program + choice.version);
}

std::string Runtime::Impl::temporary_directory() const {
  auto path = paths.temporary();
  return path.size() > kLongestTemporary ? "/tmp" : path;
}

std::vector<std::string> Runtime::Impl::monitor_arguments(const RuntimeChoice& runtime,
                                                          const ContainerId& id,
                                                          const std::string& unique_id,
                                                          const std::string& directory) const {
  return {"--api-version",
          "--sync",
          "--full-attach",
          "--no-sync-log",
          "--cid",
          id.str(),
          "--cuuid",
          unique_id,
          "--bundle",
          directory,
          "--container-pidfile",
          directory + "/pid",
          "--exit-dir",
          directory + "/exit",
          "--runtime",
          runtime.program,
          "--runtime-arg=--root",
          "--runtime-arg=" + paths.state(runtime.name)};
}

Result<CreatedContainer> Runtime::create(const CreateRequest& request) {
  const auto& id = request.id;
  std::string directory = container_directory(id);
  RETURN_IF_ERROR(make_monitor_directory(directory));
  auto spec = request.spec;
  if (spec.cgroup_path.empty()) {
    spec.cgroup_path = fmt::format("{}/{}", impl_->options.cgroup_parent, id);
  }
  ASSIGN_OR_RETURN(auto stage, make_stage(request, directory));
  ASSIGN_OR_RETURN(auto object,
                   build_config_object(spec, impl_->host, directory + "/rootfs", stage));
  auto filters = impl_->seccomp_cache();
  auto filter_key = filters.apply(object);
  auto config = json::serialize(object);
  for (const auto& [name, text] :
       {std::pair<const char*, const std::string&>{"config.json", config},
        {"runtime", impl_->choice.program},
        {"cgroup", spec.cgroup_path}}) {
    ASSIGN_OR_RETURN(auto file, open_file(fmt::format("{}/{}", directory, name),
                                          O_WRONLY | O_CREAT | O_TRUNC, 0600));
    RETURN_IF_ERROR(write_all(file, text));
  }
  MonitorPlan plan;
  plan.program = impl_->conmon;
  plan.directory = directory;
  plan.arguments = impl_->monitor_arguments(impl_->choice, id, id.str(), directory);
  ASSIGN_OR_RETURN(auto log, log_argument(request.log_path, directory));
  plan.arguments.insert(plan.arguments.end(), {"--log-path", log});
  if (spec.terminal) plan.arguments.emplace_back("--terminal");
  if (request.stdin_open) plan.arguments.emplace_back("--stdin");
  if (spec.terminal || !request.stdin_once) plan.arguments.emplace_back("--leave-stdin-open");
  plan.temporary_directory = impl_->temporary_directory();
  plan.surroundings.pid_file = directory + "/conmon.pid";
  plan.surroundings.hidden_mount = impl_->choice.hidden_mount(impl_->host.cgroups);
  plan.surroundings.read_only_program = impl_->choice.read_only_program();
  plan.surroundings.mounts = staged_mounts(request, directory, stage);
  auto created = [&]() -> Result<CreatedContainer> {
    ASSIGN_OR_RETURN(auto monitor, StartingMonitor::spawn(plan));
    // Joining takes the kernel some 10 ms: time that conmon and the runtime need to start anyway.
    monitor.join(impl_->monitor_groups);
    ASSIGN_OR_RETURN(pid_t pid, monitor.wait_for_pid());
    // Its first program waits for start(): whatever has been mounted in the wrong place, nobody has
    // used it.
    ASSIGN_OR_RETURN(auto table, read_file(fmt::format("/proc/{}/mountinfo", pid)));
    RETURN_IF_ERROR(check_mounts(object, parse_mount_table(table)));
    CreatedContainer result{pid, describe_monitor(monitor.pid(), directory)};
    monitor.detach();
    return result;
  }();
  if (created) {
    filters.keep(filter_key, fmt::format("{}/{}/seccomp.bpf", impl_->paths.state(name()), id));
    return created;
  }
  (void)remove(id);
  if (created.error().code != Code::kUnavailable) return created;
  return tl::unexpected(describe_runtime_failure(
      RuntimeStep::kCreate, name_sources(created.error().message, request, stage),
      spec.args.front()));
}

Status Runtime::start(const ContainerId& id) {
  ASSIGN_OR_RETURN(auto choice, impl_->choice_of(id));
  auto done = impl_->run(choice, {"start", id.str()});
  if (done || done.error().code != Code::kUnavailable) return done;
  return tl::unexpected(describe_runtime_failure(RuntimeStep::kStart, done.error().message, ""));
}

Status Runtime::pause(const ContainerId& id) {
  ASSIGN_OR_RETURN(auto choice, impl_->choice_of(id));
  return impl_->run(choice, {"pause", id.str()});
}

Status Runtime::resume(const ContainerId& id) {
  ASSIGN_OR_RETURN(auto choice, impl_->choice_of(id));
  return impl_->run(choice, {"resume", id.str()});
}

Status Runtime::update(const ContainerId& id, const ContainerResources& resources) {
  ASSIGN_OR_RETURN(auto choice, impl_->choice_of(id));
  std::string path = container_directory(id) + "/resources.json";
  RETURN_IF_ERROR(write_file_atomic(path, build_resources(resources, impl_->host), 0600, false));
  return impl_->run(choice, {"update", "--resources", path, id.str()});
}

Result<pid_t> Runtime::find_process(const ContainerId& id) const {
  ASSIGN_OR_RETURN(auto cgroup, impl_->cgroup_of(id));
  ASSIGN_OR_RETURN(pid_t pid, read_pid(container_directory(id) + "/pid"));
  // The number may have been given to another process since: ours is in the container's cgroup.
  auto groups = read_file(fmt::format("/proc/{}/cgroup", pid));
  if (!groups || groups->find(":" + cgroup) == std::string::npos) {
    return fail(Code::kNotFound, "no process {} in container {}", pid, id);
  }
  return pid;
}

Status Runtime::kill(const ContainerId& id, int signal) {
  ASSIGN_OR_RETURN(pid_t pid, find_process(id));
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail(Code::kNotFound, "no process {} in container {}", pid, id);
  // Looked at again now that the descriptor holds on to whoever has the number.
  ASSIGN_OR_RETURN(pid_t same, find_process(id));
  if (same != pid) return fail(Code::kNotFound, "no process {} in container {}", pid, id);
  return signal_process(pidfd, signal);
}

Status Runtime::kill_all(const ContainerId& id, int signal) {
  ASSIGN_OR_RETURN(auto pids, processes(id));
  for (pid_t pid : pids) ::kill(pid, signal);
  return {};
}

Status Runtime::remove(const ContainerId& id) {
  std::string directory = container_directory(id);
  if (!file_exists(directory)) return {};
  // Without these files nothing was started yet.
  auto choice = impl_->choice_of(id);
  auto cgroup = impl_->cgroup_of(id);
  std::string state = choice ? impl_->paths.state(choice->name) + "/" + id.str() : "";
  if (choice && cgroup && file_exists(state) && !impl_->remove_ended(directory, *cgroup, state)) {
    auto done = impl_->run(*choice, {"delete", "--force", id.str()});
    if (!done) {
      (void)kill_all(id, SIGKILL);
      RETURN_IF_ERROR(impl_->run(*choice, {"delete", "--force", id.str()}));
    }
  } else if (cgroup) {
    (void)kill_all(id, SIGKILL);
  }
  impl_->end_monitor(directory, kEndPatience);
  // Those of sessions end with their processes; they may still be writing that down.
  for (const auto& session : names_in(directory + "/exec")) {
    impl_->end_monitor(fmt::format("{}/exec/{}", directory, session), kEndPatience);
  }
  if (cgroup) (void)impl_->remove_cgroup(*cgroup);
  return remove_monitor_directory(directory);
}

Result<MonitorProcess> Runtime::find_monitor(const std::string& directory) const {
  return find_monitor_in(directory);
}

Result<std::vector<ContainerId>> Runtime::list() const {
  std::vector<ContainerId> ids;
  for (auto& name : names_in(impl_->paths.containers())) ids.emplace_back(std::move(name));
  return ids;
}

}  // namespace holdfast
