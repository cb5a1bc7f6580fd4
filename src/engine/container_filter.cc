#include "engine/container_filter.h"

#include <algorithm>
#include <charconv>

#include "engine/mounts/mount_plan.h"

namespace holdfast {
namespace {

constexpr const char* kKeys[] = {"ancestor", "before",  "exited",    "expose", "health",
                                 "id",       "is-task", "isolation", "label",  "name",
                                 "network",  "publish", "since",     "status", "volume"};
constexpr const char* kStatuses[] = {"created",  "running", "paused", "restarting",
                                     "removing", "exited",  "dead"};

tl::unexpected<Error> invalid_filter(std::string_view key, std::string_view value) {
  return fail(Code::kInvalidArgument, "invalid filter '{}={}'", key, value);
}

Status check(const std::string& key, const std::string& value) {
  if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys)) {
    return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
  }
  if (key == "status" &&
      std::find(std::begin(kStatuses), std::end(kStatuses), value) == std::end(kStatuses)) {
    return invalid_filter(key, value);
  }
  if (key == "exited") {
    int code = 0;
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), code);
    if (error != std::errc() || end != value.data() + value.size())
      return invalid_filter(key, value);
  }
  if (key == "health" && value != "none" && value != "starting" && value != "healthy" &&
      value != "unhealthy") {
    return invalid_filter(key, value);
  }
  return {};
}

// Docker matches a container's name with or without its leading slash.
bool matches_name(const std::string& name, const NamePattern& pattern) {
  return pattern.matches(name) || pattern.matches("/" + name);
}

bool matches_volume(const ContainerData& data, const std::string& wanted) {
  std::string clean = wanted.starts_with('/') ? clean_path(wanted) : wanted;
  return std::any_of(data.mounts.begin(), data.mounts.end(), [&](const MountPoint& mount) {
    return mount.source == wanted || mount.source == clean || mount.target == clean;
  });
}

struct PortPattern {
  int first = 0;
  int last = 0;
  std::string protocol;  // empty: any
};

std::optional<PortPattern> parse_port_pattern(std::string_view text) {
  PortPattern pattern;
  if (auto slash = text.find('/'); slash != std::string_view::npos) {
    pattern.protocol = text.substr(slash + 1);
    text = text.substr(0, slash);
  }
  auto dash = text.find('-');
  auto number = [](std::string_view digits, int& out) {
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!number(text.substr(0, dash), pattern.first)) return std::nullopt;
  pattern.last = pattern.first;
  if (dash != std::string_view::npos && !number(text.substr(dash + 1), pattern.last))
    return std::nullopt;
  return pattern;
}

bool matches_port(int number, std::string_view protocol, const std::string& wanted) {
  auto pattern = parse_port_pattern(wanted);
  if (!pattern) return false;
  return number >= pattern->first && number <= pattern->last &&
         (pattern->protocol.empty() || pattern->protocol == protocol);
}

bool exposes(const ContainerData& data, const std::string& wanted) {
  for (const auto& [port, ignored] : json::object_or_empty(data.config, "ExposedPorts")) {
    auto parsed = ContainerPort::parse(std::string_view(port));
    if (parsed && matches_port(parsed->number, to_string(parsed->protocol), wanted)) return true;
  }
  return false;
}

bool publishes(const ContainerData& data, const std::string& wanted) {
  return std::any_of(data.ports.begin(), data.ports.end(), [&](const PublishedPort& port) {
    return matches_port(port.host_port, to_string(port.port.protocol), wanted);
  });
}

}  // namespace

bool has_label(const json::Object& labels, std::string_view wanted) {
  auto equals = wanted.find('=');
  const auto* value = labels.if_contains(wanted.substr(0, equals));
  if (!value) return false;
  if (equals == std::string_view::npos) return true;
  return value->is_string() && std::string_view(value->get_string()) == wanted.substr(equals + 1);
}

Result<ContainerFilter> ContainerFilter::parse(
    const std::multimap<std::string, std::string>& filters, const ContainerTable& table,
    FilterContext context) {
  ContainerFilter filter;
  filter.filters_ = filters;
  filter.context_ = std::move(context);
  for (const auto& [key, value] : filters) {
    RETURN_IF_ERROR(check(key, value));
    if (key == "name") filter.names_.emplace(value, NamePattern(value));
    if (key == "ancestor") filter.ancestors_[value] = filter.context_.ancestors(value);
    if (key == "network") {
      if (auto id = filter.context_.network(value)) filter.networks_[value] = *id;
    }
    if (key == "before" || key == "since") {
      ASSIGN_OR_RETURN(auto container, table.find(value));
      (key == "before" ? filter.before_ : filter.since_) = container->created;
    }
  }
  return filter;
}

bool ContainerFilter::matches_key(const std::string& key, const std::string& value,
                                  const Container& container, const ContainerData& data) const {
  if (key == "id") return container.id.str().starts_with(value);
  if (key == "name") return matches_name(data.name, names_.at(value));
  if (key == "status") return value == to_string(data.state.status);
  if (key == "exited") {
    return std::to_string(data.state.exit_code) == value && !data.state.running() &&
           data.state.finished_at != Time{};
  }
  if (key == "health") return context_.health(container, data) == value;
  if (key == "before") return container.created < before_;
  if (key == "since") return container.created > since_;
  if (key == "volume") return matches_volume(data, value);
  if (key == "expose") return exposes(data, value);
  if (key == "publish") return publishes(data, value);
  if (key == "ancestor") {
    const auto& images = ancestors_.at(value);
    return std::find(images.begin(), images.end(), container.image) != images.end();
  }
  if (key == "network") {
    auto id = networks_.find(value);
    return std::any_of(data.endpoints.begin(), data.endpoints.end(), [&](const Endpoint& endpoint) {
      return endpoint.network == value || endpoint.network_name == value ||
             (id != networks_.end() && endpoint.network_id == id->second);
    });
  }
  if (key == "is-task") return value == "false" || value == "0";
  return true;
}

bool ContainerFilter::matches(const Container& container, const ContainerData& data) const {
  for (auto key = filters_.begin(); key != filters_.end(); key = filters_.upper_bound(key->first)) {
    auto [first, last] = filters_.equal_range(key->first);
    // Labels must all be there; values of every other key are alternatives.
    if (key->first == "label") {
      const auto& labels = json::object_or_empty(data.config, "Labels");
      if (!std::all_of(first, last,
                       [&](const auto& entry) { return has_label(labels, entry.second); }))
        return false;
      continue;
    }
    bool any = std::any_of(first, last, [&](const auto& entry) {
      return matches_key(entry.first, entry.second, container, data);
    });
    if (!any) return false;
  }
  return true;
}

Result<PruneFilter> PruneFilter::parse(const std::multimap<std::string, std::string>& filters) {
  PruneFilter filter;
  for (const auto& [key, value] : filters) {
    if (key == "label" || key == "label!") {
      filter.labels_.emplace(key, value);
    } else if (key == "until") {
      filter.until_ = parse_moment(value, now());
      if (!filter.until_) return invalid_filter(key, value);
    } else {
      return fail(Code::kInvalidArgument, "invalid filter '{}'", key);
    }
  }
  return filter;
}

bool PruneFilter::matches(Time created, const json::Object& labels) const {
  if (until_ && created >= *until_) return false;
  return std::all_of(labels_.begin(), labels_.end(), [&](const auto& entry) {
    return has_label(labels, entry.second) == (entry.first == "label");
  });
}

}  // namespace holdfast
