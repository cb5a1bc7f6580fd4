#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/name_pattern.h"
#include "storage/volume/volumes.h"

namespace holdfast {

// The filters of volume listings and prunes: Docker's (dangling, driver, label, name; label!) and
// Podman's (anonymous, opt, scope, until, since and its other name after). Checked once, applied to
// each volume; a value. Keys must all match; of several values of one key any will do, but all of
// label, and none of label!.
class VolumeFilter {
 public:
  // kInvalidArgument in Docker's words for an unknown key or a bad value; kNotFound for since a
  // volume that isn't.
  static Result<VolumeFilter> for_listing(const std::multimap<std::string, std::string>& filters,
                                          const Volumes& volumes);
  // With `all` beside the keys of a listing. Without it named volumes are kept; before API 1.42
  // they weren't.
  static Result<VolumeFilter> for_pruning(const std::multimap<std::string, std::string>& filters,
                                          const std::string& api_version, const Volumes& volumes);

  bool matches(const Volume& volume, bool in_use, const std::string& scope) const;

 private:
  using Strings = std::vector<std::string>;

  Status take(const std::string& key, const Strings& values, const Volumes& volumes);
  bool matches_labels(const Volume& volume) const;

  std::optional<bool> dangling_;
  std::optional<bool> anonymous_;
  std::optional<Strings> drivers_;
  std::optional<Strings> options_;
  std::optional<Strings> scopes_;
  std::vector<NamePattern> names_;  // none: any
  Strings labels_;
  Strings unwanted_labels_;
  std::optional<Time> until_;
  std::optional<Time> since_;
};

}  // namespace holdfast
