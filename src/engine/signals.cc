#include "engine/signals.h"

#include <signal.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace holdfast {
namespace {

struct NamedSignal {
  std::string_view name;
  int number;
};
constexpr NamedSignal kSignals[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM}, {"BUS", SIGBUS},       {"CHLD", SIGCHLD},
    {"CLD", SIGCHLD},  {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},
    {"ILL", SIGILL},   {"INT", SIGINT},   {"IO", SIGIO},         {"IOT", SIGIOT},
    {"KILL", SIGKILL}, {"PIPE", SIGPIPE}, {"POLL", SIGPOLL},     {"PROF", SIGPROF},
    {"PWR", SIGPWR},   {"QUIT", SIGQUIT}, {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT},
    {"STOP", SIGSTOP}, {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
};

// SIGRTMIN is 34 for programs: glibc keeps the two below for itself.
constexpr int kRealTimeMin = 34;
constexpr int kRealTimeMax = 64;

std::optional<int> real_time(std::string_view name) {
  int base = name.starts_with("RTMIN")   ? kRealTimeMin
             : name.starts_with("RTMAX") ? kRealTimeMax
                                         : 0;
  if (base == 0) return std::nullopt;
  std::string_view rest = name.substr(5);
  if (rest.empty()) return base;
  int offset = 0;
  const char* begin = rest.data() + (rest.front() == '+' ? 1 : 0);
  auto [end, error] = std::from_chars(begin, rest.data() + rest.size(), offset);
  int number = base + offset;
  if (error != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  return number >= kRealTimeMin && number <= kRealTimeMax ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (number >= 1 && number <= kRealTimeMax) return number;
    return fail(Code::kInvalidArgument, "invalid signal: {}", text);
  }
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  std::string_view short_name = name;
  if (short_name.starts_with("SIG")) short_name.remove_prefix(3);
  for (const auto& known : kSignals) {
    if (known.name == short_name) return known.number;
  }
  if (auto found = real_time(short_name)) return *found;
  return fail(Code::kInvalidArgument, "invalid signal: {}", text);
}

}  // namespace holdfast
