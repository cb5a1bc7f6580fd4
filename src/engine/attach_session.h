#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "engine/client_stream.h"
#include "runtime/attach.h"

namespace holdfast {

// Recognises the keys that detach a client ("ctrl-p,ctrl-q") in what it types, however it is cut
// into pieces.
class DetachScanner {
 public:
  // `keys`: a comma-separated list of single characters and ctrl-X; empty: ctrl-p,ctrl-q.
  // kInvalidArgument in Docker's words.
  static Result<DetachScanner> parse(const std::string& keys);

  struct Scanned {
    std::string bytes;  // to be passed on
    bool detached = false;
  };
  Scanned scan(std::string_view typed);

 private:
  std::string sequence_;
  std::size_t matched_ = 0;  // of sequence_; held back until it is known whether it goes on
};

// What a session passes on.
struct AttachMode {
  bool in = false;
  bool out = false;
  bool err = false;
  bool tty = false;
  bool close_stdin = false;  // the client's end of input ends the container's stdin
  bool keep_stdin = false;   // the client's going leaves the container's stdin open
  bool await_exit = false;   // the client is let go once the exit code is known: see exited()
};

// Ties one client to the streams of one container or exec session, until either side ends. Keeps
// itself alive through the loop's callbacks; all work is done on the loop's thread. Made before the
// process runs, begun when its monitor does.
class AttachSession : public std::enable_shared_from_this<AttachSession> {
 public:
  AttachSession(EventLoop& loop, std::unique_ptr<ClientDuplex> client, AttachMode mode,
                DetachScanner scanner, std::function<void()> detached);

  // Connects to the monitor in `directory`; from here on output is passed on. Any thread. When it
  // fails the client is let go.
  Status begin(const std::string& directory);
  // Lets the client go without having begun. Any thread.
  void abandon();
  // The process has ended and its exit code can be asked for. Any thread.
  void exited();
  // Tells the client why nothing ran, on its stderr, and lets it go. Any thread.
  void fail(const std::string& message);

 private:
  void start(AttachStream stream);
  bool read_output();
  bool pass_on(const AttachEvent& event);
  void pause_output();
  void read_input();
  void take_input(std::string_view bytes, bool end);
  void flush_input();
  void output_ended();
  void end();
  void detach();

  EventLoop& loop_;
  std::unique_ptr<ClientDuplex> client_;
  const AttachMode mode_;
  DetachScanner scanner_;
  std::function<void()> detached_;

  std::unique_ptr<AttachStream> stream_;
  Subscription output_watch_;
  Subscription input_watch_;
  std::string held_output_;  // one packet the client had no room for
  OutputStream held_stream_ = OutputStream::kStdout;
  std::string pending_input_;
  bool input_ended_ = false;
  bool output_ended_ = false;
  bool exited_ = false;
  bool ended_ = false;
};

}  // namespace holdfast
