#include "runtime/attach.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/file.h"

namespace holdfast {
namespace {

// conmon reads 8 KiB of output at a time and puts one byte in front; it takes up to 32 KiB of input
// in one packet and would cut off the rest.
constexpr std::size_t kOutputPacket = 8193;
constexpr std::size_t kInputPacket = 16384;
constexpr char kStderrMark = 3;
constexpr unsigned kLargestWindow = 1000;  // conmon ignores larger ones

// One line to the monitor's control FIFO.
Status send_control(const std::string& directory, const std::string& line) {
  auto fifo = open_file(directory + "/ctl", O_WRONLY | O_NONBLOCK);
  if (!fifo) {
    // ENXIO: nobody reads it any more.
    if (fifo.error().sys_errno == ENXIO) return fail(Code::kNotFound, "the monitor has ended");
    return tl::unexpected(std::move(fifo).error());
  }
  return write_all(*fifo, line);
}

}  // namespace

Result<AttachStream> AttachStream::connect(const std::string& directory) {
  ASSIGN_OR_RETURN(auto place, open_file(directory, O_PATH | O_DIRECTORY));
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket");
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  // By way of the directory's descriptor: a socket's path may have 107 bytes at most.
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach", place.get());
  int done;
  do {
    done = ::connect(socket.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address);
  } while (done != 0 && errno == EINTR);
  if (done != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return fail(Code::kNotFound, "nothing listens on \"{}/attach\"", directory);
    }
    return fail_errno("connect to \"{}/attach\"", directory);
  }
  return AttachStream(std::move(socket));
}

Result<AttachEvent> AttachStream::read() {
  if (buffer_.empty()) buffer_.resize(kOutputPacket);
  ssize_t count;
  do {
    count = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count == 0) return AttachEvent{AttachEvent::Kind::kEnd, {}, {}};
  if (count < 0) {
    if (errno == EAGAIN) return AttachEvent{AttachEvent::Kind::kNothing, {}, {}};
    if (errno == ECONNRESET) return AttachEvent{AttachEvent::Kind::kEnd, {}, {}};
    return fail_errno("read from the attach socket");
  }
  AttachEvent event;
  event.kind = AttachEvent::Kind::kData;
  event.stream = buffer_[0] == kStderrMark ? OutputStream::kStderr : OutputStream::kStdout;
  event.bytes = std::string_view(buffer_).substr(1, static_cast<std::size_t>(count) - 1);
  return event;
}

Result<std::size_t> AttachStream::write(std::string_view bytes) {
  if (bytes.empty()) return std::size_t{0};  // an empty packet would read as the end
  bytes = bytes.substr(0, kInputPacket);
  ssize_t count;
  do {
    count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno == EAGAIN) return std::size_t{0};
    return fail_errno("write to the attach socket");
  }
  return static_cast<std::size_t>(count);
}

Status AttachStream::close_stdin() {
  if (::shutdown(socket_.get(), SHUT_WR) != 0 && errno != ENOTCONN) {
    return fail_errno("close stdin");
  }
  return {};
}

void AttachStream::abandon_output() { ::shutdown(socket_.get(), SHUT_RD); }

Status resize_terminal(const std::string& directory, unsigned rows, unsigned columns) {
  return send_control(directory, fmt::format("1 {} {}\n", std::min(rows, kLargestWindow),
                                             std::min(columns, kLargestWindow)));
}

Status reopen_log(const std::string& directory) { return send_control(directory, "2 0 0\n"); }

}  // namespace holdfast
