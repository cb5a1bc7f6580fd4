#pragma once

#include <string>

#include "engine/secrets/sealing.h"

namespace holdfast {

// The file of the key that secrets are sealed with. It lies outside of the data root, so that a
// copy of that does not hold both. Read at each use and kept in memory no longer. Thread-safe:
// it has no state but the path.
class KeyFile {
 public:
  explicit KeyFile(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }

  // kNotFound when there is none; kUnavailable, saying what to do, when others than the daemon's
  // user can read it or it does not hold a key.
  Result<SealingKey> read() const;

  // Makes a key, durable on return, and the directory where it is missing. Where another daemon was
  // faster it is that one's key.
  Result<SealingKey> create() const;

 private:
  const std::string path_;
};

}  // namespace holdfast
