#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "image/images.h"

namespace holdfast::image {

// Makes Docker's JSON messages and passes them on one at a time. Thread-safe.
class Messages {
 public:
  explicit Messages(const Progress& progress) : progress_(progress) {}

  void status(std::string_view text, std::string_view id = {});
  // `total` 0: not known.
  void progress(std::string_view text, std::string_view id, std::uint64_t current,
                std::uint64_t total);
  void stream(std::string_view text);
  void aux(json::Object value);

 private:
  void send(const json::Object& message);

  const Progress& progress_;
  std::mutex mutex_;  // one message at a time
};

// Docker's short form of a digest or id: twelve digits.
std::string short_id(std::string_view digest);

}  // namespace holdfast::image
