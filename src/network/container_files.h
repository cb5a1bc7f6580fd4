#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace holdfast {

struct ContainerDns;

// Text of a container's /etc/resolv.conf. `host` is the host's; `servers` the embedded name servers
// of the container's networks (empty: none), which come before everything, since they know whom
// else to ask.
std::string render_resolv_conf(const ContainerDns& dns, const std::vector<std::string>& servers,
                               std::string_view host);

// Text of /etc/hosts: the usual names, `own` as {address, names}, then `extra` ("name:address",
// "name=address").
Result<std::string> render_hosts(const std::vector<std::pair<std::string, std::string>>& own,
                                 const std::vector<std::string>& extra,
                                 std::string_view host_gateway);

// One container in a name server's file: aardvark-dns' "id ipv4 ipv6 name,name servers".
struct NameEntry {
  std::string id;
  std::string ipv4;
  std::string ipv6;
  std::vector<std::string> names;
  std::vector<std::string> servers;
};
std::string render_names(const std::vector<std::string>& gateways,
                         const std::vector<NameEntry>& entries);

}  // namespace holdfast
