#include "client/port_text.h"

#include <algorithm>
#include <tuple>

namespace holdfast::client {
namespace {

struct Port {
  std::int64_t inside = 0;
  std::string ip;
  std::int64_t outside = 0;
  std::string protocol;
  auto order() const { return std::tie(inside, ip, outside, protocol); }
};

struct Group {
  std::string ip, protocol;
  std::int64_t first = 0, last = 0;
};

std::string with_address(const std::string& ip, std::string_view ports) {
  bool v6 = std::find(ip.begin(), ip.end(), ':') != ip.end();
  return v6 ? fmt::format("[{}]:{}", ip, ports) : fmt::format("{}:{}", ip, ports);
}

std::string group_text(const Group& group) {
  std::string range = fmt::format("{}", group.first);
  if (group.first != group.last) range += fmt::format("-{}", group.last);
  if (!group.ip.empty()) range = fmt::format("{}->{}", with_address(group.ip, range), range);
  return fmt::format("{}/{}", range, group.protocol);
}

}  // namespace

std::string displayable_ports(const json::Array& ports) {
  std::vector<Port> sorted;
  for (const auto& value : ports) {
    if (!value.is_object()) continue;
    const auto& port = value.get_object();
    sorted.push_back({json::int_or(port, "PrivatePort"), json::string_or(port, "IP"),
                      json::int_or(port, "PublicPort"), json::string_or(port, "Type")});
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const Port& a, const Port& b) { return a.order() < b.order(); });
  std::vector<std::string> finished, mapped;
  std::vector<Group> groups;
  for (const auto& port : sorted) {
    if (!port.ip.empty() && port.outside != port.inside) {
      mapped.push_back(fmt::format("{}->{}/{}",
                                   with_address(port.ip, fmt::format("{}", port.outside)),
                                   port.inside, port.protocol));
      continue;
    }
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
      return g.ip == port.ip && g.protocol == port.protocol;
    });
    if (group == groups.end()) {
      groups.push_back({port.ip, port.protocol, port.inside, port.inside});
    } else if (port.inside == group->last + 1) {
      group->last = port.inside;
    } else {
      finished.push_back(group_text(*group));
      group->first = group->last = port.inside;
    }
  }
  for (const auto& group : groups) finished.push_back(group_text(group));
  finished.insert(finished.end(), mapped.begin(), mapped.end());
  return fmt::format("{}", fmt::join(finished, ", "));
}

}  // namespace holdfast::client
