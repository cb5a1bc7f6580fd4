#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace holdfast {

// A directory for one test, removed with what is in it at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* base = ::getenv("TMPDIR");
    std::string pattern = std::string(base ? base : "/tmp") + "/holdfast-test-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace holdfast
