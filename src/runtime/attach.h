#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

enum class OutputStream { kStdout, kStderr };

// What AttachStream::read() found.
struct AttachEvent {
  enum class Kind { kData, kNothing, kEnd };
  Kind kind = Kind::kNothing;
  OutputStream stream = OutputStream::kStdout;
  std::string_view bytes;  // valid until the next read()
};

// A client of the attach socket that the monitor (conmon) of a container or an exec session serves
// in its directory. It carries output from the moment of connecting on: connect before start to
// miss none. Everything is non-blocking; wait on fd(). One owner; not thread-safe.
//
// The monitor closes the container's stdin as soon as any client that could write ends, if the
// container was created with `stdin_once`; so a client that only watched must abandon_output() and
// be kept until the container ends.
class AttachStream {
 public:
  // `directory` is Runtime's container_directory() or exec_directory(). kNotFound when nothing
  // listens there (any more).
  static Result<AttachStream> connect(const std::string& directory);

  BorrowedFd fd() const { return socket_; }

  // One packet, at most 8 KiB.
  Result<AttachEvent> read();

  // Sends the beginning of `bytes`; returns how many were taken, 0 when the monitor can't take more
  // now (wait until fd() is writable).
  Result<std::size_t> write(std::string_view bytes);

  // Half-closes: the container's stdin ends once what was written is read; output goes on.
  Status close_stdin();

  // Takes no more output but holds the connection, and with it the container's stdin, open.
  void abandon_output();

 private:
  explicit AttachStream(UniqueFd socket) : socket_(std::move(socket)) {}

  UniqueFd socket_;
  std::string buffer_;
};

// Sets the window size of the terminal of the container or exec session in `directory`; rows and
// columns up to 1000 (larger ones are cut). kNotFound when its monitor is gone.
Status resize_terminal(const std::string& directory, unsigned rows, unsigned columns);

// Makes the monitor open its log file anew, after it was renamed away.
Status reopen_log(const std::string& directory);

}  // namespace holdfast
