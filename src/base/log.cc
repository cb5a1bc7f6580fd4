#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace holdfast::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void start(Level level) {
  auto logger = spdlog::stderr_logger_mt("holdfast");
  logger->set_pattern("time=\"%Y-%m-%dT%H:%M:%S.%f%z\" level=%l msg=\"%v\"");
  logger->set_level(to_spdlog(level));
  spdlog::set_default_logger(std::move(logger));
}

bool enabled(Level level) { return spdlog::default_logger_raw()->should_log(to_spdlog(level)); }

// A line break or a quote in a name must not forge a record.
void write(Level level, std::string_view message) {
  std::string clean;
  clean.reserve(message.size());
  for (char c : message) {
    if (c == '"' || c == '\\') {
      clean += '\\';
      clean += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      clean += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      clean += c;
    }
  }
  spdlog::default_logger_raw()->log(to_spdlog(level), "{}", clean);
}

}  // namespace holdfast::log
