#include <fcntl.h>
#include <unistd.h>

#include <future>

#include "base/file.h"
#include "base/log.h"
#include "engine/engine_impl.h"
#include "engine/mounts/mount_target.h"
#include "engine/mounts/protected_paths.h"
#include "engine/secrets/secret_mounts.h"
#include "engine/spec_builder.h"

// Starting a container:
//
//   reserve addresses and ports → write hosts, resolv.conf, hostname → mount by descriptor → conmon
//   and runtime create (the network is set up at the same time) → attach the clients that wait →
//   runtime start → record
//
// What was made is taken down again, newest first, when a later step fails. If the daemon is killed
// on the way, the next one finds a container of the runtime whose record doesn't say that it runs,
// and removes it.
namespace holdfast {
namespace {

bool shares_network(const json::Object& host_config) {
  return json::string_or(host_config, "NetworkMode").starts_with("container:");
}

bool on_host_network(const json::Object& host_config) {
  return json::string_or(host_config, "NetworkMode") == "host";
}

ContainerDns dns_of(const json::Object& host_config) {
  return {json::strings_or_empty(host_config, "Dns"),
          json::strings_or_empty(host_config, "DnsSearch"),
          json::strings_or_empty(host_config, "DnsOptions")};
}

// --publish-all: every exposed port on a free port of the host.
Result<std::vector<PortRequest>> ports_of(const ContainerData& data) {
  ASSIGN_OR_RETURN(auto ports,
                   parse_port_bindings(json::object_or_empty(data.host_config, "PortBindings")));
  if (!json::bool_or(data.host_config, "PublishAllPorts")) return ports;
  for (const auto& [text, ignored] : json::object_or_empty(data.config, "ExposedPorts")) {
    ASSIGN_OR_RETURN(auto port, ContainerPort::parse(std::string_view(text)));
    bool bound = std::any_of(ports.begin(), ports.end(),
                             [&](const PortRequest& request) { return request.port == port; });
    if (!bound) ports.push_back({port, "", 0, 0});
  }
  return ports;
}

// One launch under way: each step adds what undo() has to take down.
class Launch {
 public:
  Launch(Engine::Impl& impl, ContainerPtr container)
      : impl_(impl), container_(std::move(container)), data_(container_->view()) {}

  Status run() {
    auto status = try_run();
    if (!status) undo();
    return status;
  }

 private:
  Status try_run() {
    RETURN_IF_ERROR(make_users());
    RETURN_IF_ERROR(reserve_network());
    RETURN_IF_ERROR(write_files());
    RETURN_IF_ERROR(make_spec());
    RETURN_IF_ERROR(create_processes());
    attach_waiting();
    if (auto started = impl_.parts.runtime.start(container_->id); !started) return started;
    return record();
  }

  Status make_users() {
    if (!data_.user_range) return {};
    ASSIGN_OR_RETURN(users_file_, make_user_namespace(data_.user_range->map()));
    users_ = UserNamespace{data_.user_range->map(), users_file_};
    return {};
  }

  Status reserve_network() {
    if (shares_network(data_.host_config)) {
      ASSIGN_OR_RETURN(
          auto other,
          impl_.table.find(json::string_or(data_.host_config, "NetworkMode").substr(10)));
      auto state = other->view();
      if (!state.state.running()) {
        return fail(Code::kConflict, "cannot join network of a non running container: {}",
                    other->id);
      }
      netns_ = fmt::format("/proc/{}/ns/net", state.pid);
      return {};
    }
    AttachRequest request;
    request.container = container_->id;
    request.container_name = data_.name;
    request.hostname = json::string_or(data_.config, "Hostname");
    request.endpoints = data_.endpoints;
    ASSIGN_OR_RETURN(request.ports, ports_of(data_));
    request.dns = json::strings_or_empty(data_.host_config, "Dns");
    ASSIGN_OR_RETURN(attachment_, impl_.parts.networks.reserve(request));
    reserved_ = true;
    if (on_host_network(data_.host_config)) return {};
    ASSIGN_OR_RETURN(netns_, impl_.parts.networks.create_netns(container_->id, users_file_));
    return {};
  }

  Status write_files() {
    auto& networks = impl_.parts.networks;
    std::string hostname = json::string_or(data_.config, "Hostname");
    ASSIGN_OR_RETURN(
        auto hosts,
        networks.hosts(hostname, json::string_or(data_.config, "Domainname"), attachment_.endpoints,
                       json::strings_or_empty(data_.host_config, "ExtraHosts")));
    RETURN_IF_ERROR(write_own_file("hosts", hosts));
    RETURN_IF_ERROR(write_own_file(
        "resolv.conf", networks.resolv_conf(dns_of(data_.host_config), attachment_.endpoints)));
    return write_own_file("hostname", hostname + "\n");
  }

  // Written in place: a container that shares the file sees the change.
  Status write_own_file(const std::string& name, const std::string& text) {
    std::string path = impl_.folders.file(container_->id, name);
    ASSIGN_OR_RETURN(auto fd, open_file(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644));
    return write_all(fd, text);
  }

  Status make_spec() {
    ASSIGN_OR_RETURN(auto layers, impl_.parts.images.layer_paths(container_->image));
    ASSIGN_OR_RETURN(auto root, impl_.folders.mount_root(
                                    container_->id, layers,
                                    json::bool_or(data_.host_config, "AutoRemove"), users_));
    root_ = std::make_unique<DetachedMount>(std::move(root));
    SpecInputs inputs;
    inputs.image_root = root_->root();
    inputs.netns = netns_;
    inputs.namespace_of = [this](const std::string& name, const std::string& kind) {
      return namespace_of(name, kind);
    };
    ASSIGN_OR_RETURN(request_.spec, build_spec(container_->id, data_, inputs));
    volumes_mounted_ = true;
    RETURN_IF_ERROR(check_root_directories(root_->root()));
    MountContext mounts{container_->id,
                        impl_.holder_of(container_->id),
                        data_.requester,
                        root_->root(),
                        {request_.spec.user, users_}};
    ASSIGN_OR_RETURN(prepared_, impl_.mounts.prepare(data_.mounts, mounts));
    if (request_.spec.init) RETURN_IF_ERROR(find_own_target(std::string(kInitTarget)));
    RETURN_IF_ERROR(add_own_files());
    RETURN_IF_ERROR(share_memory());
    if (users_) join_users();
    request_.spec.namespaces.network.borrowed = shares_network(data_.host_config);
    request_.spec.mounts.insert(request_.spec.mounts.end(), prepared_.mounts.begin(),
                                prepared_.mounts.end());
    return add_secrets();
  }

  Result<std::string> namespace_of(const std::string& name, const std::string& kind) {
    ASSIGN_OR_RETURN(auto other, impl_.table.find(name));
    auto state = other->view();
    if (!state.state.running())
      return fail(Code::kConflict, "cannot join {} of a non running container: {}", kind, name);
    return fmt::format("/proc/{}/ns/{}", state.pid, kind);
  }

  // /etc/hosts and its kin are files of ours unless the user mounts something there.
  Status add_own_files() {
    own_files_.reserve(3);
    bool shared = shares_network(data_.host_config);
    for (const char* name : {"resolv.conf", "hostname", "hosts"}) {
      std::string target = fmt::format("/etc/{}", name);
      bool taken = std::any_of(data_.mounts.begin(), data_.mounts.end(),
                               [&](const MountPoint& mount) { return mount.target == target; });
      if (taken) continue;
      ContainerId owner = container_->id;
      if (shared && std::string_view(name) != "hostname") {
        owner = ContainerId(json::string_or(data_.host_config, "NetworkMode").substr(10));
      }
      ASSIGN_OR_RETURN(auto file, open_file(impl_.folders.file(owner, name), O_PATH | O_NOFOLLOW));
      ASSIGN_OR_RETURN(auto tree, DetachedMount::clone(file, "", false));
      if (users_) RETURN_IF_ERROR(give_to_container(tree));
      own_files_.push_back(std::move(tree));
      ContainerMount mount;
      ASSIGN_OR_RETURN(mount.target, find_own_target(target));
      mount.options = {"rprivate"};
      mount.tree = own_files_.back().root();
      request_.spec.mounts.push_back(std::move(mount));
    }
    return {};
  }

  void join_users() {
    auto& namespaces = request_.spec.namespaces;
    namespaces.user = {ContainerNamespaces::Kind::kPath,
                       fmt::format("/proc/{}/fd/{}", ::getpid(), users_file_.get())};
    for (const auto& range : users_->ids.uids)
      namespaces.uids.push_back({range.inside, range.outside, range.count});
    for (const auto& range : users_->ids.gids)
      namespaces.gids.push_back({range.inside, range.outside, range.count});
  }

  // Files of ours are root's, the container's in its namespace.
  Status give_to_container(DetachedMount& tree) const {
    MountAttributes attributes;
    attributes.id_map_namespace = users_file_;
    return tree.set(attributes);
  }

  // Where a file of ours goes: an image can have a symlink at its place, or above it.
  Result<std::string> find_own_target(const std::string& target) const {
    MountPoint own;
    own.type = MountType::kBind;
    own.target = target;
    return find_mount_target(own, root_->root(), prepared_.mounts);
  }

  // --ipc container:ID shares the other one's /dev/shm, too.
  Status share_memory() {
    std::string mode = json::string_or(data_.host_config, "IpcMode");
    if (!mode.starts_with("container:")) return {};
    ASSIGN_OR_RETURN(auto shared,
                     impl_.parts.runtime.clone_mount(ContainerId(mode.substr(10)), "/dev/shm"));
    shared_memory_ = std::move(shared);
    ContainerMount mount;
    mount.target = "/dev/shm";
    mount.options = {"rprivate"};
    mount.tree = shared_memory_;
    request_.spec.mounts.push_back(std::move(mount));
    return {};
  }

  // Behind all other mounts: /run may be one.
  Status add_secrets() {
    ASSIGN_OR_RETURN(secrets_, mount_secrets(secret_references_from(data_.host_config),
                                             *impl_.secrets, impl_.folders.folder(container_->id)));
    request_.spec.mounts.insert(request_.spec.mounts.end(), secrets_.mounts.begin(),
                                secrets_.mounts.end());
    return {};
  }

  Status create_processes() {
    request_.id = container_->id;
    request_.rootfs = root_->root();
    request_.log_path = impl_.folders.log(container_->id);
    request_.stdin_open = json::bool_or(data_.config, "OpenStdin");
    request_.stdin_once = json::bool_or(data_.config, "StdinOnce");
    // The network and the runtime go on at the same time.
    std::future<Status> network;
    if (reserved_ && !netns_.empty()) {
      network = std::async(std::launch::async,
                           [this] { return impl_.parts.networks.set_up(container_->id, netns_); });
    }
    auto created = impl_.parts.runtime.create(request_);
    Status network_status = network.valid() ? network.get() : Status();
    if (!created) return tl::unexpected(std::move(created).error());
    created_ = true;
    pid_ = created->pid;
    RETURN_IF_ERROR(network_status);
    return impl_.watch_exit(container_, created->monitor);
  }

  void attach_waiting() {
    std::vector<std::shared_ptr<AttachSession>> sessions;
    {
      std::lock_guard lock(impl_.attach_mutex);
      auto found = impl_.waiting_attaches.find(container_->id);
      if (found == impl_.waiting_attaches.end()) return;
      sessions = std::move(found->second);
      impl_.waiting_attaches.erase(found);
    }
    for (const auto& session : sessions) {
      if (auto begun = session->begin(impl_.parts.runtime.container_directory(container_->id));
          !begun) {
        log::warn("container {}: attach: {}", container_->id, begun.error().message);
      }
    }
  }

  Status record() {
    container_->change([&](ContainerData& data) {
      data.state = ContainerState{};
      data.state.status = ContainerStatus::kRunning;
      data.state.started_at = now();
      data.state.finished_at = data_.state.finished_at;
      data.pid = pid_;
      if (reserved_) data.endpoints = attachment_.endpoints;
      data.ports = attachment_.ports;
      data.started_before = true;
    });
    RETURN_IF_ERROR(impl_.table.save(*container_));
    for (const auto& endpoint : attachment_.endpoints)
      impl_.publish_network(endpoint, container_->id, "connect");
    for (const auto& mount : data_.mounts) {
      if (mount.type != MountType::kVolume) continue;
      impl_.publish_volume("mount", VolumeName(mount.source),
                           {{"container", container_->id.str()},
                            {"destination", mount.target},
                            {"driver", mount.driver},
                            {"propagation", mount.propagation},
                            {"read/write", mount.read_only ? "false" : "true"}});
    }
    impl_.publish(*container_, "start");
    impl_.begin_health_checks(container_);
    return {};
  }

  void undo() {
    prepared_ = {};
    secrets_ = {};
    own_files_.clear();
    root_.reset();
    if (volumes_mounted_) impl_.release_mounts(*container_);
    if (created_) impl_.clean_up_after(container_);
    if (reserved_) impl_.take_network_down(container_->id);
  }

  Engine::Impl& impl_;
  ContainerPtr container_;
  const ContainerData data_;
  UniqueFd users_file_;  // its user namespace
  std::optional<UserNamespace> users_;
  Attachment attachment_;
  std::string netns_;
  std::unique_ptr<DetachedMount> root_;
  PreparedMounts prepared_;
  SecretMounts secrets_;
  std::vector<DetachedMount> own_files_;
  UniqueFd shared_memory_;
  CreateRequest request_;
  pid_t pid_ = 0;
  bool reserved_ = false;
  bool volumes_mounted_ = false;
  bool created_ = false;
};

}  // namespace

Status Engine::Impl::launch(const ContainerPtr& container) {
  return Launch(*this, container).run();
}

Status Engine::Impl::launch_or_note_failure(const ContainerPtr& container) {
  auto status = launch(container);
  if (status) return status;
  end_waiting_attaches(container->id);
  Error error = std::move(status).error();
  int exit_code = start_failure_exit_code(error);
  bool auto_remove = container->change([&](ContainerData& data) {
    data.state.status = data.started_before ? ContainerStatus::kExited : ContainerStatus::kCreated;
    data.state.exit_code = exit_code;
    data.state.error = error.message;
    return json::bool_or(data.host_config, "AutoRemove");
  });
  if (auto_remove) {
    if (auto erased = erase(container, true); !erased) {
      log::error("container {}: remove after failed start: {}", container->id,
                 erased.error().message);
    }
  } else {
    (void)table.save(
        *container);  // the reason is told to the client; that it is not recorded changes nothing
  }
  container->notify_exit({exit_code, error.message});
  return tl::unexpected(std::move(error));
}

void Engine::Impl::end_waiting_attaches(const ContainerId& id) {
  std::vector<std::shared_ptr<AttachSession>> sessions;
  {
    std::lock_guard lock(attach_mutex);
    auto found = waiting_attaches.find(id);
    if (found == waiting_attaches.end()) return;
    sessions = std::move(found->second);
    waiting_attaches.erase(found);
  }
  for (const auto& session : sessions) session->abandon();
}

void Engine::Impl::begin_health_checks(const ContainerPtr& container) {
  auto plan = HealthPlan::of(container->view().config);
  if (!plan) return;
  HealthMonitor::Surroundings surroundings{
      parts.loop, parts.runtime, exits,
      [this](std::function<void()> work) { in_background(std::move(work)); },
      [this, container](const std::string& status) {
        publish(*container, "health_status: " + status);
      }};
  auto monitor =
      std::make_shared<HealthMonitor>(container->id, std::move(*plan), std::move(surroundings));
  health.add(container->id, monitor);
  monitor->begin();
}

Result<Outcome> Engine::start(const std::string& name) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  impl.cancel_restart(container->id);
  auto guard = container->slot.acquire();
  auto state = container->state();
  if (state.status == ContainerStatus::kPaused) {
    return fail(Code::kConflict, "cannot start a paused container, try unpause instead");
  }
  if (state.running()) return Outcome::kUnchanged;
  if (state.status == ContainerStatus::kRemoving || state.status == ContainerStatus::kDead) {
    return fail(Code::kConflict, "container is marked for removal and cannot be started");
  }
  container->change([](ContainerData& data) {
    data.manually_stopped = false;
    data.restart_count = 0;
  });
  RETURN_IF_ERROR(impl.launch_or_note_failure(container));
  return Outcome::kDone;
}

}  // namespace holdfast
