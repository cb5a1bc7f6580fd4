#include "image/messages.h"

#include <algorithm>

namespace holdfast::image {
namespace {

// go-units HumanSize: four significant digits.
std::string human_size(std::uint64_t bytes) {
  static constexpr std::string_view kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto size = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (size >= 1000.0 && unit + 1 < std::size(kUnits)) {
    size /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.4g}{}", size, kUnits[unit]);
}

// The bar that clients without their own print.
std::string bar(std::uint64_t current, std::uint64_t total) {
  std::string sizes = fmt::format("{:>8}", human_size(current));
  if (total == 0) return sizes;
  auto half = static_cast<std::size_t>(std::min<std::uint64_t>(current * 50 / total, 50));
  return fmt::format("[{}>{}] {}/{}", std::string(half, '='), std::string(50 - half, ' '), sizes,
                     human_size(total));
}

}  // namespace

void Messages::send(const json::Object& message) {
  if (!progress_) return;
  std::string text = json::serialize(message);
  std::lock_guard lock(mutex_);
  progress_(text);
}

void Messages::status(std::string_view text, std::string_view id) {
  json::Object message{{"status", text}};
  if (!id.empty()) {
    message["progressDetail"] = json::Object();
    message["id"] = id;
  }
  send(message);
}

void Messages::progress(std::string_view text, std::string_view id, std::uint64_t current,
                        std::uint64_t total) {
  json::Object detail{{"current", current}};
  if (total > 0) detail["total"] = total;
  send({{"status", text},
        {"progressDetail", std::move(detail)},
        {"progress", bar(current, total)},
        {"id", id}});
}

void Messages::stream(std::string_view text) { send({{"stream", text}}); }
void Messages::aux(json::Object value) {
  send({{"progressDetail", json::Object()}, {"aux", std::move(value)}});
}

std::string short_id(std::string_view digest) {
  auto colon = digest.find(':');
  if (colon != std::string_view::npos) digest.remove_prefix(colon + 1);
  return std::string(digest.substr(0, 12));
}

}  // namespace holdfast::image
