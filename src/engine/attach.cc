#include "engine/engine_impl.h"
#include "engine/log_streamer.h"

namespace holdfast {
namespace {

AttachMode mode_for(const ContainerData& data, const AttachOptions& options) {
  AttachMode mode;
  mode.tty = json::bool_or(data.config, "Tty");
  mode.in = options.in && json::bool_or(data.config, "OpenStdin");
  mode.out = options.out;
  mode.err = options.err;
  bool once = json::bool_or(data.config, "StdinOnce");
  mode.close_stdin = once && !mode.tty;
  mode.keep_stdin = true;
  return mode;
}

// A duplex connection used for its output alone.
class OutputOfDuplex : public ClientOutput {
 public:
  explicit OutputOfDuplex(std::unique_ptr<ClientDuplex> duplex) : duplex_(std::move(duplex)) {}
  bool try_write(OutputStream stream, std::string_view bytes) override {
    return duplex_->try_write(stream, bytes);
  }
  void when_writable(std::function<void()> ready) override {
    duplex_->when_writable(std::move(ready));
  }
  void on_close(std::function<void()> gone) override { duplex_->on_close(std::move(gone)); }
  bool open() const override { return duplex_->open(); }
  void finish() override { duplex_->finish(); }

 private:
  std::unique_ptr<ClientDuplex> duplex_;
};

}  // namespace

Status Engine::attach(const std::string& name, const AttachOptions& options,
                      const std::function<std::unique_ptr<ClientDuplex>(bool tty)>& accept) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  ASSIGN_OR_RETURN(auto scanner, DetachScanner::parse(options.detach_keys));
  ContainerData data = container->view();
  if (data.state.status == ContainerStatus::kPaused) {
    return fail(Code::kConflict, "container {} is paused, unpause the container before attach",
                name);
  }
  if (data.state.status == ContainerStatus::kRestarting) {
    return fail(Code::kConflict, "container {} is restarting, wait until the container is running",
                name);
  }
  auto mode = mode_for(data, options);
  if (!options.stream || options.logs) {
    LogOptions log_options;
    log_options.follow = options.stream;
    log_options.out = options.out;
    log_options.err = options.err;
    auto streamer =
        std::make_shared<LogStreamer>(impl.parts.loop, impl.folders.log(container->id), log_options,
                                      std::make_unique<OutputOfDuplex>(accept(mode.tty)));
    streamer->begin(container);
    return {};
  }
  auto detached = [&impl, container] {
    impl.in_background([&impl, container] { impl.publish(*container, "detach"); });
  };
  auto session = std::make_shared<AttachSession>(impl.parts.loop, accept(mode.tty), mode,
                                                 std::move(scanner), detached);
  impl.publish(*container, "attach");
  {
    // Decided under the lock that a start takes its waiting clients by: none is left behind.
    std::lock_guard lock(impl.attach_mutex);
    if (!container->state().running()) {
      impl.waiting_attaches[container->id].push_back(std::move(session));
      return {};
    }
  }
  // The head has been sent: what fails from here on the client sees as an ended stream.
  (void)session->begin(impl.parts.runtime.container_directory(container->id));
  return {};
}

Status Engine::logs(const std::string& name, const LogOptions& options,
                    const std::function<std::unique_ptr<ClientOutput>(bool tty)>& accept) {
  auto& impl = *impl_;
  ASSIGN_OR_RETURN(auto container, impl.table.find(name));
  if (!options.out && !options.err) {
    return fail(Code::kInvalidArgument, "Bad parameters: you must choose at least one stream");
  }
  ContainerData data = container->view();
  if (json::string_or(json::object_or_empty(data.host_config, "LogConfig"), "Type") == "none") {
    return fail(Code::kNotImplemented, "configured logging driver does not support reading");
  }
  auto streamer = std::make_shared<LogStreamer>(impl.parts.loop, impl.folders.log(container->id),
                                                options, accept(json::bool_or(data.config, "Tty")));
  streamer->begin(container);
  return {};
}

}  // namespace holdfast
