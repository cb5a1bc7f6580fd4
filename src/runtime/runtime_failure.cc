#include "runtime/runtime_failure.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "runtime/runtime.h"

namespace holdfast {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  return text;
}

std::string lower_first(std::string_view text) {
  std::string result(text);
  if (!result.empty()) {
    result[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(result[0])));
  }
  return result;
}

// The value of msg="…" in one of runc's log lines.
std::optional<std::string> logged_message(std::string_view line) {
  auto begin = line.find("msg=\"");
  if (begin == std::string_view::npos) return std::nullopt;
  std::string message;
  for (std::size_t i = begin + 5; i < line.size() && line[i] != '"'; ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) ++i;
    message += line[i];
  }
  return message;
}

// The last thing that was said; warnings come before it.
std::string last_message(std::string_view output) {
  output = trim(output);
  auto newline = output.rfind('\n');
  auto line = newline == std::string_view::npos ? output : output.substr(newline + 1);
  if (auto message = logged_message(line)) return *message;
  return std::string(line);
}

std::string strip_prefixes(std::string text) {
  constexpr std::array<std::string_view, 5> kPrefixes = {
      "runc create failed: ", "exec failed: ", "unable to start container process: ",
      "error during container init: ", "error executing setns process: "};
  for (auto prefix : kPrefixes) {
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  }
  return text;
}

// The text between the first two backquotes, as crun quotes names.
std::string quoted(std::string_view text) {
  auto begin = text.find('`');
  auto end = text.find('`', begin + 1);
  if (begin == std::string_view::npos || end == std::string_view::npos) return "";
  return std::string(text.substr(begin + 1, end - begin - 1));
}

// What follows the last ": ", an errno's text.
std::string reason_of(std::string_view text) {
  auto colon = text.rfind(": ");
  return lower_first(colon == std::string_view::npos ? text : text.substr(colon + 2));
}

// crun's words for what goes wrong when a process is started, in runc's.
std::string in_runc_words(const std::string& text, const std::string& command) {
  if (text.starts_with("executable file `")) {
    std::string name = quoted(text);
    if (name.find('/') == std::string::npos) {
      return fmt::format("exec: \"{}\": executable file not found in $PATH", name);
    }
    return fmt::format("exec: \"{}\": stat {}: no such file or directory", name, name);
  }
  if (text.starts_with("open executable: ")) {
    std::string reason = reason_of(text);
    // crun opens regular files only, and says EPERM of others.
    if (reason == "operation not permitted") reason = "is a directory";
    if (reason == "not a directory") reason = fmt::format("stat {}: {}", command, reason);
    return fmt::format("exec: \"{}\": {}", command, reason);
  }
  if (text.starts_with("chdir `")) {
    return fmt::format("chdir to cwd (\"{}\") set in config.json failed: {}", quoted(text),
                       reason_of(text));
  }
  if (text.starts_with("mount `")) {
    auto second = text.substr(std::min(text.size(), text.find("` to `") + 5));
    return fmt::format("error mounting \"{}\" to rootfs at \"{}\": {}", quoted(text),
                       quoted(second), reason_of(text));
  }
  return text;
}

bool is_callers_fault(std::string_view reason) {
  return reason.starts_with("exec: ") || reason.starts_with("chdir to cwd") ||
         (reason.starts_with("error mounting ") &&
          reason.find("not a directory") != std::string_view::npos);
}

}  // namespace

Error describe_runtime_failure(RuntimeStep step, std::string_view output,
                               const std::string& command) {
  std::string reason = in_runc_words(strip_prefixes(last_message(output)), command);
  Error error;
  error.code = is_callers_fault(reason) ? Code::kInvalidArgument : Code::kInternal;
  if (step == RuntimeStep::kExec) {
    error.message = fmt::format(
        "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown",
        reason);
    return error;
  }
  if (step == RuntimeStep::kStart) {
    error.message = fmt::format(
        "failed to start task for container: OCI runtime start failed: {}: unknown", reason);
    return error;
  }
  error.message = fmt::format(
      "failed to create task for container: failed to create shim task: OCI runtime create failed: "
      "runc create failed: unable to start container process: error during container init: {}: "
      "unknown",
      reason);
  if (reason.starts_with("error mounting ") &&
      reason.find("not a directory") != std::string::npos) {
    error.message +=
        ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified "
        "host path exists and is the expected type";
  }
  return error;
}

int start_failure_exit_code(const Error& error) {
  auto says = [&](std::string_view words) {
    return error.message.find(words) != std::string::npos;
  };
  if (says("executable file not found") || says("no such file or directory")) return 127;
  if (says("Are you trying to mount a directory onto a file")) return 127;
  if (says("permission denied") || says("is a directory") || says("not a directory")) return 126;
  return 128;
}

}  // namespace holdfast
