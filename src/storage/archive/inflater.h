#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "storage/archive/extract.h"
#include "storage/archive/stream.h"

namespace holdfast::archive {

// The uncompressed bytes of a stream that may be compressed, told by its first bytes; inflated in
// this process. One owner, one thread at a time.
class Inflater {
 public:
  Inflater(const Source& source, const Limits& limits);
  ~Inflater();

  void on_progress(std::function<void(std::uint64_t)> progress);
  Status start();  // reads the first bytes; to be called first
  bool compressed() const;
  // As a Source does. kInvalidArgument past the limits.
  Result<std::size_t> read(char* buffer, std::size_t size);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::archive
