#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <future>

#include "base/event_loop.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "http/audit_log.h"
#include "http/routes/routes.h"
#include "http/server.h"
#include "image/images.h"
#include "network/networks.h"
#include "options.h"
#include "runtime/runtime.h"
#include "state/data_root.h"
#include "state/store.h"
#include "storage/volume/volumes.h"

namespace holdfast {
namespace {

constexpr std::size_t kRequestThreads = 64;
constexpr std::size_t kTransferThreads = 64;
constexpr auto kStopGrace = std::chrono::seconds(5);

// Signals that end the daemon are taken by sigwait() alone. Blocked before the first thread starts,
// so that all inherit it; children get an empty mask (Process).
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGTERM, SIGINT}) sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  return signals;
}

Status write_pidfile(const std::string& path) {
  if (path.empty()) return {};
  return write_file_atomic(path, std::to_string(::getpid()), 0644, false);
}

// Threads come and go: two arenas keep what they leave behind small.
void bound_memory() {
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

std::string subordinate_user(const DaemonOptions& options) {
  return options.userns_remap == "default" ? "" : options.userns_remap;
}

Status run(const DaemonOptions& options) {
  sigset_t signals = block_signals();
  ::umask(0022);
  // Other users must not traverse the data root; the exec root holds the socket that some of them
  // may use.
  ASSIGN_OR_RETURN(auto data_lock, DirectoryLock::acquire(options.data_root, 0700));
  ASSIGN_OR_RETURN(auto exec_lock, DirectoryLock::acquire(options.exec_root, 0711));
  RETURN_IF_ERROR(check_records_present(options.data_root));
  RETURN_IF_ERROR(write_pidfile(options.pidfile));

  EventLoop loop;
  ThreadPool requests(kRequestThreads);
  ThreadPool transfers(kTransferThreads);
  ASSIGN_OR_RETURN(auto store, Store::open(options.data_root + "/state.db"));
  // The runtime is tried out while the records are read.
  auto runtime_opening = std::async(std::launch::async, [&] {
    return Runtime::open(
        {.exec_root = options.exec_root, .default_runtime = options.default_runtime});
  });
  PluginOptions plugins = options.plugins;
  plugins.private_roots = {options.exec_root};
  ASSIGN_OR_RETURN(
      auto volumes,
      Volumes::open(options.data_root, *store, std::move(plugins),
                    MountDeadlines::within(std::chrono::seconds(options.mount_timeout))));
  for (const auto& warning : volumes->warnings()) log::warn("{}", warning);
  ASSIGN_OR_RETURN(auto images,
                   image::Images::open({.data_root = options.data_root,
                                        .exec_root = options.exec_root,
                                        .insecure_registries = options.insecure_registries},
                                       *store));
  NetworksOptions network_options;
  network_options.exec_root = options.exec_root;
  network_options.bridge = options.bridge;
  network_options.bip = options.bip;
  network_options.mtu = options.mtu;
  network_options.pools = options.address_pools;
  ASSIGN_OR_RETURN(auto networks, Networks::open(network_options, *store));
  ASSIGN_OR_RETURN(auto runtime, runtime_opening.get());
  ASSIGN_OR_RETURN(auto engine,
                   Engine::open({.data_root = options.data_root,
                                 .exec_root = options.exec_root,
                                 .version = HOLDFAST_VERSION,
                                 .labels = options.labels,
                                 .bind_policy = options.bind_policy,
                                 .private_users = !options.userns_remap.empty(),
                                 .subordinate_user = subordinate_user(options),
                                 .secrets_key_file = options.secrets_key_file},
                                {*store, *volumes, *images, *networks, *runtime, loop, requests}));
  ASSIGN_OR_RETURN(auto audit, http::AuditLog::open(options.data_root + "/audit.log", requests));
  http::ServerOptions server_options;
  server_options.hosts = options.hosts;
  server_options.group = options.group;
  server_options.tls = options.tls;
  server_options.version = HOLDFAST_VERSION;
  server_options.audit = [&audit](const http::AuditRecord& record) { audit->record(record); };
  ASSIGN_OR_RETURN(auto server,
                   http::Server::create(loop, requests, transfers, http::make_routes(*engine, loop),
                                        std::move(server_options)));
  loop.start();
  server->start();
  engine->start_background();
  log::info("holdfastd {} listens on {}", HOLDFAST_VERSION, fmt::join(server->addresses(), ", "));
  ::malloc_trim(0);

  int received = 0;
  ::sigwait(&signals, &received);
  log::info("signal {}: stopping; containers run on", received);
  server->stop(kStopGrace);
  volumes->interrupt();
  engine->stop();
  requests.stop();
  transfers.stop();
  if (auto withdrawn = networks->withdraw(); !withdrawn) log::warn("{}", withdrawn.error().message);
  loop.stop();
  if (!options.pidfile.empty()) (void)remove_file(options.pidfile);
  return {};
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  using namespace holdfast;
  auto parsed = parse_options(argc, argv);
  if (!parsed) {
    fmt::print(stderr, "holdfastd: {}\n", parsed.error().message);
    return 1;
  }
  if (!parsed->printed.empty()) {
    std::fputs(parsed->printed.c_str(), stdout);
    return 0;
  }
  bound_memory();
  log::start(parsed->options.log_level);
  if (auto status = run(parsed->options); !status) {
    log::error("{}", status.error().message);
    return 1;
  }
  return 0;
}
