#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace holdfast::client {

bool is_terminal(BorrowedFd fd) { return ::isatty(fd.get()) == 1; }

std::optional<WindowSize> window_size(BorrowedFd fd) {
  winsize size{};
  if (::ioctl(fd.get(), TIOCGWINSZ, &size) != 0 || (size.ws_row == 0 && size.ws_col == 0))
    return std::nullopt;
  return WindowSize{size.ws_row, size.ws_col};
}

Result<RawTerminal> RawTerminal::enter(BorrowedFd fd) {
  termios saved{};
  if (::tcgetattr(fd.get(), &saved) != 0) return fail_errno("read terminal mode");
  termios raw = saved;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd.get(), TCSADRAIN, &raw) != 0) return fail_errno("set terminal to raw mode");
  return RawTerminal(fd, saved);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept : fd_(other.fd_), saved_(other.saved_) {
  other.saved_.reset();
}

void RawTerminal::restore() {
  if (saved_) ::tcsetattr(fd_.get(), TCSADRAIN, &*saved_);
  saved_.reset();
}

EchoOff::EchoOff(BorrowedFd fd) : fd_(fd) {
  termios mode{};
  if (::tcgetattr(fd.get(), &mode) != 0) return;
  saved_ = mode;
  mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(fd.get(), TCSADRAIN, &mode);
}

EchoOff::~EchoOff() {
  if (saved_) ::tcsetattr(fd_.get(), TCSADRAIN, &*saved_);
}

}  // namespace holdfast::client
