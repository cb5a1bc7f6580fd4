#pragma once

#include <string>

#include "base/json.h"

namespace holdfast {

// Filters that crun has compiled, by the profile they were compiled from. Compiling takes crun tens
// of milliseconds for each container, which is most of what creating one costs; given a filter by
// annotation ("run.oci.seccomp_bpf_data") it leaves that out. Files in one directory, which lasts
// as long as the machine runs; threads and processes may share it.
class SeccompCache {
 public:
  // `salt` names the program that compiled: another one's filters are not taken.
  SeccompCache(std::string directory, std::string salt)
      : directory_(std::move(directory)), salt_(std::move(salt)) {}

  // Replaces the profile in `config` (of config.json) by its compiled filter, if there is one.
  // Returns what the filter is to be kept as, or an empty string: nothing to keep.
  std::string apply(json::Object& config) const;

  // Keeps the filter that crun left in `compiled`. Failure only costs time.
  void keep(const std::string& key, const std::string& compiled) const;

 private:
  std::string path(const std::string& key) const { return directory_ + "/" + key; }

  std::string directory_;
  std::string salt_;
};

}  // namespace holdfast
