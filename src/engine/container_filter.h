#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/container.h"
#include "engine/container_table.h"
#include "engine/name_pattern.h"

namespace holdfast {

// What the filters of GET /containers/json need to know beside the container itself.
struct FilterContext {
  // The images that `text` names or that descend from it, for the ancestor filter.
  std::function<std::vector<ImageId>(const std::string& text)> ancestors;
  std::function<Result<NetworkId>(const std::string& text)> network;
  std::function<std::string(const Container&, const ContainerData&)> health;
};

// The filters of GET /containers/json, checked once and applied to each container.
class ContainerFilter {
 public:
  // kInvalidArgument in Docker's words for an unknown key or value; kNotFound for before/since a
  // container that isn't.
  static Result<ContainerFilter> parse(const std::multimap<std::string, std::string>& filters,
                                       const ContainerTable& table, FilterContext context);

  bool matches(const Container& container, const ContainerData& data) const;
  // Whether a filter asks for containers that don't run, which are otherwise left out unless all
  // are wanted.
  bool wants_stopped() const { return filters_.contains("status") || filters_.contains("exited"); }

 private:
  bool matches_key(const std::string& key, const std::string& value, const Container& container,
                   const ContainerData& data) const;

  std::multimap<std::string, std::string> filters_;
  FilterContext context_;
  std::map<std::string, NamePattern> names_;
  std::map<std::string, std::vector<ImageId>> ancestors_;
  std::map<std::string, NetworkId> networks_;
  Time before_;
  Time since_;
};

// The filters of POST /containers/prune: until, label, label!.
class PruneFilter {
 public:
  static Result<PruneFilter> parse(const std::multimap<std::string, std::string>& filters);
  bool matches(Time created, const json::Object& labels) const;

 private:
  std::multimap<std::string, std::string> labels_;  // key "label" or "label!"
  std::optional<Time> until_;
};

// Whether `labels` has "name" or "name=value".
bool has_label(const json::Object& labels, std::string_view wanted);

}  // namespace holdfast
