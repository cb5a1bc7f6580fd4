#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast {

// What kind of failure an Error is; the words are those of containerd's errdefs. The core names
// neither HTTP nor gRPC: http/error_status.cc and csi/error_code.cc translate.
enum class Code {
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kConflict,
  kPermissionDenied,
  kUnauthenticated,
  kUnavailable,
  kNotImplemented,
  kResourceExhausted,
  kFailedPrecondition,
  kAborted,
  kCancelled,
  kDeadlineExceeded,
  kDataLoss,
  kInternal,
};

std::string_view to_string(Code code);

// A failure: its kind, the errno behind it (0 if none) and a message in lower case with quoted
// names and no full stop, except where a Docker client expects other words.
struct [[nodiscard]] Error {
  Code code = Code::kInternal;
  int sys_errno = 0;
  std::string message;

  // The same failure seen from further out: "context: message".
  Error wrap(std::string_view context) &&;
  Error wrap(std::string_view context) const&;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <typename... Args>
tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected(Error{code, 0, fmt::format(format, std::forward<Args>(args)...)});
}

// An Error of errno `number`: "context: No space left on device". The code follows from the number
// (ENOENT kNotFound, EEXIST kAlreadyExists, EACCES/EPERM kPermissionDenied, ENOSPC/EMFILE
// kResourceExhausted, …).
Error system_error(int number, std::string_view context);

// fail() for a system call that just set errno, which is read before the arguments are formatted.
tl::unexpected<Error> fail_errno_text(int number, std::string_view context);
#define fail_errno(...)                                                           \
  [&](int holdfast_errno) {                                                       \
    return ::holdfast::fail_errno_text(holdfast_errno, fmt::format(__VA_ARGS__)); \
  }(errno)

// Stops the process with a message: for our own bugs only, never for input or the kernel's answers.
[[noreturn]] void check_failed(const char* file, int line, const char* expression);

}  // namespace holdfast

#define CHECK(expression) \
  ((expression) ? void() : ::holdfast::check_failed(__FILE__, __LINE__, #expression))

#define HOLDFAST_CONCAT_(a, b) a##b
#define HOLDFAST_CONCAT(a, b) HOLDFAST_CONCAT_(a, b)

// RETURN_IF_ERROR(status_expression): leaves the function with the error, if it is one.
#define RETURN_IF_ERROR(...)                                                         \
  do {                                                                               \
    auto holdfast_status = (__VA_ARGS__);                                            \
    if (!holdfast_status) return tl::unexpected(std::move(holdfast_status).error()); \
  } while (false)

// ASSIGN_OR_RETURN(auto value, result_expression): a statement, never an expression: with GCC 12 an
// early return inside a braced initialiser skips destructors.
#define ASSIGN_OR_RETURN(target, ...) \
  HOLDFAST_ASSIGN_OR_RETURN_(HOLDFAST_CONCAT(holdfast_result_, __LINE__), target, __VA_ARGS__)
#define HOLDFAST_ASSIGN_OR_RETURN_(result, target, ...)          \
  auto result = (__VA_ARGS__);                                   \
  if (!result) return tl::unexpected(std::move(result).error()); \
  target = *std::move(result)
