#pragma once

#include <string>
#include <vector>

#include "image/images_impl.h"

namespace holdfast::image {

// The label and label! filters: "name" or "name=value", all of which must hold.
struct LabelSelection {
  std::vector<std::string> wanted;
  std::vector<std::string> unwanted;
  bool matches(const std::map<std::string, std::string>& labels) const;
};

// The filters of `docker image prune`.
struct PruneSelection {
  bool dangling_only = true;
  std::optional<Time> until;  // made before
  LabelSelection labels;

  static Result<PruneSelection> parse(const Filters& filters);
  bool matches(const ImageRecord& record) const;
};

// The filters of `docker images`; before and since are resolved by the caller.
struct ListSelection {
  std::optional<bool> dangling;
  std::vector<std::string> patterns;
  std::vector<std::string> before;
  std::vector<std::string> since;
  std::optional<Time> until;
  LabelSelection labels;

  static Result<ListSelection> parse(const Filters& filters);
};

}  // namespace holdfast::image
