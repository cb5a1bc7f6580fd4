#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "client/detach_keys.h"
#include "client/http_client.h"
#include "client/terminal.h"

namespace holdfast::client {

struct SessionOptions {
  bool tty = false;    // the container has a terminal: raw bytes, no frames
  bool input = false;  // our standard input goes to the container
  bool output = true;
  bool errors = true;
  std::string detach_keys;
  // Called with the terminal's size at once and whenever it changes; unset without a terminal.
  std::function<void(WindowSize)> resize;
  // Called with a signal we got, to be passed on; unset: signals act on us as usual.
  std::function<void(int signal)> forward_signal;
};

// A person (or pipe) at our standard streams talking to a container over a hijacked connection. On
// the calling thread: while a Session lives, signals are taken by it alone and the terminal may be
// in raw mode; its end, on every path, puts both back. Create one at a time.
class Session {
 public:
  // Changes the terminal to raw mode if the container has one and our input is one.
  static Result<Session> start(SessionOptions options);
  Session(Session&&) noexcept = default;
  Session& operator=(Session&&) = delete;
  ~Session();

  enum class End { kStreamEnded, kDetached };
  // Copies both ways until the container's side ends or the detach keys are typed. Our input's end
  // half-closes the connection.
  Result<End> pump(Stream& stream);

  // Returns once `fd` is readable, passing signals on until then.
  Status wait_readable(BorrowedFd fd);

  // Reports the terminal's size.
  void send_size();

  // Reports a changed size and then the right one, so that the program in the container draws its
  // prompt or screen again for whoever has just attached.
  void redraw();

  void restore_terminal() { raw_.reset(); }

 private:
  struct Pumping;
  explicit Session(SessionOptions options, DetachKeys keys)
      : options_(std::move(options)), keys_(std::move(keys)) {}
  void take_signals();
  Status write_out(BorrowedFd to, std::string_view bytes);
  Result<bool> receive(Stream& stream, Pumping& pumping);
  Status read_input(Pumping& pumping);
  Status send_input(Stream& stream, Pumping& pumping);

  SessionOptions options_;
  DetachKeys keys_;
  UniqueFd signals_;
  std::optional<RawTerminal> raw_;
};

}  // namespace holdfast::client
