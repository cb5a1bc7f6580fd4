#pragma once

#include <memory>
#include <string>

#include "cli.h"
#include "client/session.h"

// What run, start, attach and exec share.
namespace holdfast::cli {

// The callbacks of a Session for a container or exec: resizing and passing signals on. `cli` must
// outlive them.
std::function<void(client::WindowSize)> resizer(Cli& cli, const std::string& route);
std::function<void(int)> signal_forwarder(Cli& cli, const std::string& container);

// The detach keys to use: the option's, else the configuration's; empty for the default.
std::string detach_keys(Cli& cli, const std::string& option);

// The signal's name as the API takes it ("INT"), or its number.
std::string signal_name(int number);

struct AttachOptions {
  bool tty = false, input = false, output = true, errors = true;
  bool proxy_signals = true;
  bool logs = false;  // what was printed before, too
  std::string detach_keys;
};

// An attached container: the terminal is ours until the end of this object.
class AttachedContainer {
 public:
  // Opens the stream; the container may not run yet.
  static Result<AttachedContainer> attach(Cli& cli, const std::string& id,
                                          const AttachOptions& options);

  // Puts the terminal into raw mode and takes signals. Call when the container is about to run.
  Status begin();
  client::Session& session() { return *session_; }
  // True when the user typed the detach keys.
  Result<bool> pump();

 private:
  AttachedContainer(Cli& cli, std::string id, AttachOptions options, client::Stream stream)
      : cli_(&cli), id_(std::move(id)), options_(std::move(options)), stream_(std::move(stream)) {}

  Cli* cli_;
  std::string id_;
  AttachOptions options_;
  client::Stream stream_;
  std::optional<client::Session> session_;
};

// Waits for the container by a request that was opened before it ran.
class ContainerWait {
 public:
  // `condition`: "next-exit", "removed" or "not-running".
  static Result<ContainerWait> open(Cli& cli, const std::string& id, std::string_view condition);
  // The exit code. Signals are passed on meanwhile if there is a session.
  Result<int> finish(client::Session* session);

 private:
  explicit ContainerWait(client::Response response) : response_(std::move(response)) {}
  client::Response response_;
};

// docker's exit code for a container that could not be started: 127 not found, 126 not executable,
// else 125.
int start_failure_code(std::string_view message);

}  // namespace holdfast::cli
