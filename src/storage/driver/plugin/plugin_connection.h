#pragma once

#include <chrono>
#include <string>

#include "base/cancellation.h"
#include "base/error.h"
#include "storage/driver/plugin/plugin_directories.h"

namespace holdfast {

// What a plugin answered.
struct PluginAnswer {
  unsigned status = 0;
  std::string body;
};

// What a plugin may answer with, in bytes.
inline constexpr std::size_t kMaxPluginAnswer = 1 << 20;

// One HTTP/1.1 request on a connection of its own, over a Unix socket, TCP or TLS: POST `path` with
// `body`, and the whole answer. `deadline` is for all of it together, so that an answer that drips
// is cut. The calling thread waits; its ThreadPool may run another meanwhile.
//
// The code says what the plugin can have done: kUnavailable nothing, since the request never went
// out; kDeadlineExceeded, kCancelled (`stopping`) and kAborted (the connection broke, or the answer
// is none) anything. Errors name the plugin and its address.
Result<PluginAnswer> ask_plugin(const PluginEndpoint& endpoint, const std::string& path,
                                const std::string& body,
                                std::chrono::steady_clock::time_point deadline,
                                const Cancellation& stopping);

}  // namespace holdfast
