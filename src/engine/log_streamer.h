#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/event_loop.h"
#include "engine/client_stream.h"
#include "engine/container.h"
#include "engine/engine.h"
#include "runtime/log_file.h"

namespace holdfast {

// Sends a container's log to one client, and what is added while it runs if asked to follow. Keeps
// itself alive through the loop's callbacks and holds no thread; a client that reads slowly is
// waited for.
class LogStreamer : public std::enable_shared_from_this<LogStreamer> {
 public:
  LogStreamer(EventLoop& loop, std::string path, LogOptions options,
              std::unique_ptr<ClientOutput> client);

  // Starts sending. `container` tells when following ends.
  void begin(const ContainerPtr& container);

 private:
  void open_and_pump();
  void pump();
  bool send(const LogRecord& record);
  std::string formatted(const LogRecord& record);
  void wait_for_more();
  void end();

  EventLoop& loop_;
  const std::string path_;
  const LogOptions options_;
  std::unique_ptr<ClientOutput> client_;
  std::optional<LogReader> reader_;
  Subscription growth_;
  Subscription container_end_;
  std::string held_;  // a record the client had no room for
  OutputStream held_stream_ = OutputStream::kStdout;
  bool line_started_[2] = {false,
                           false};  // per stream: the next record goes on in a line that was begun
  bool container_ended_ = false;
  bool waiting_for_client_ = false;
  bool ended_ = false;
};

}  // namespace holdfast
