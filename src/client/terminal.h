#pragma once

#include <termios.h>

#include <optional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast::client {

constexpr BorrowedFd kStdin{0};
constexpr BorrowedFd kStdout{1};
constexpr BorrowedFd kStderr{2};

bool is_terminal(BorrowedFd fd);

struct WindowSize {
  unsigned rows = 0;
  unsigned columns = 0;
};

// nullopt when `fd` is no terminal or doesn't know.
std::optional<WindowSize> window_size(BorrowedFd fd);

// Puts a terminal into raw mode and back at the end of its scope (or by restore()).
class RawTerminal {
 public:
  static Result<RawTerminal> enter(BorrowedFd fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&& other) = delete;
  ~RawTerminal() { restore(); }
  void restore();

 private:
  RawTerminal(BorrowedFd fd, const termios& saved) : fd_(fd), saved_(saved) {}
  BorrowedFd fd_;
  std::optional<termios> saved_;
};

// Turns echo off, for passwords, until the end of its scope. Does nothing where there is no
// terminal.
class EchoOff {
 public:
  explicit EchoOff(BorrowedFd fd);
  ~EchoOff();
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  BorrowedFd fd_;
  std::optional<termios> saved_;
};

}  // namespace holdfast::client
