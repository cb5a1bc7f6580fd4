#include "network/container_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "network/address.h"
#include "network/networks.h"

namespace holdfast {
namespace {

// The words of a resolv.conf, by directive.
struct ResolvConf {
  std::vector<std::string> servers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf conf;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string directive, word;
    words >> directive;
    std::vector<std::string> rest;
    while (words >> word) rest.push_back(word);
    if (directive == "nameserver" && !rest.empty()) conf.servers.push_back(rest.front());
    // The last of these wins (resolv.conf(5)).
    if (directive == "search" || directive == "domain") conf.search = rest;
    if (directive == "options") conf.options.insert(conf.options.end(), rest.begin(), rest.end());
  }
  return conf;
}

// A server on the host's loopback address is out of a container's reach.
std::vector<std::string> reachable(const std::vector<std::string>& servers) {
  std::vector<std::string> kept;
  for (const std::string& server : servers) {
    const auto address = IpAddress::parse(server.substr(0, server.find('%')));
    if (address && !address->loopback()) kept.push_back(server);
  }
  return kept;
}

// A file's line or column must not come from a value.
bool one_word(std::string_view text) {
  return !text.empty() && text.find_first_of(" \t\r\n#,") == std::string_view::npos;
}

}  // namespace

std::string render_resolv_conf(const ContainerDns& dns, const std::vector<std::string>& servers,
                               std::string_view host) {
  const ResolvConf from_host = parse_resolv_conf(host);
  std::vector<std::string> chosen = servers;
  if (chosen.empty()) chosen = dns.servers;
  if (chosen.empty()) chosen = reachable(from_host.servers);
  if (chosen.empty()) chosen = {"8.8.8.8", "8.8.4.4"};
  std::vector<std::string> search = dns.search.empty() ? from_host.search : dns.search;
  if (search.size() == 1 && search.front() == ".") search.clear();  // docker's way to say: none
  const auto& options = dns.options.empty() ? from_host.options : dns.options;

  std::string text;
  for (const std::string& server : chosen) text += "nameserver " + server + "\n";
  if (!search.empty()) text += fmt::format("search {}\n", fmt::join(search, " "));
  if (!options.empty()) text += fmt::format("options {}\n", fmt::join(options, " "));
  return text;
}

Result<std::string> render_hosts(const std::vector<std::pair<std::string, std::string>>& own,
                                 const std::vector<std::string>& extra,
                                 std::string_view host_gateway) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::\tip6-localnet\n"
      "ff00::\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const std::string& entry : extra) {
    // A name has no colon, an IPv6 address has.
    const auto separator = entry.find_first_of("=:");
    if (separator == std::string::npos || separator == 0)
      return fail(Code::kInvalidArgument, "bad format for add-host: \"{}\"", entry);
    std::string address = entry.substr(separator + 1);
    if (address == "host-gateway") {
      if (host_gateway.empty())
        return fail(Code::kInvalidArgument, "unable to derive the IP value for host-gateway");
      address = host_gateway;
    }
    if (address.size() > 2 && address.front() == '[' && address.back() == ']')
      address = address.substr(1, address.size() - 2);
    if (!IpAddress::parse(address) || !one_word(entry.substr(0, separator)))
      return fail(Code::kInvalidArgument, "invalid IP address in add-host: \"{}\"", address);
    text += fmt::format("{}\t{}\n", address, entry.substr(0, separator));
  }
  for (const auto& [address, names] : own) text += fmt::format("{}\t{}\n", address, names);
  return text;
}

std::string render_names(const std::vector<std::string>& gateways,
                         const std::vector<NameEntry>& entries) {
  std::string text = fmt::format("{}\n", fmt::join(gateways, ","));
  for (const NameEntry& entry : entries) {
    std::vector<std::string> names, servers;
    for (const std::string& name : entry.names)
      if (one_word(name)) names.push_back(name);
    for (const std::string& server : entry.servers)
      if (IpAddress::parse(server)) servers.push_back(server);
    text += fmt::format("{} {} {} {}", entry.id, entry.ipv4, entry.ipv6, fmt::join(names, ","));
    if (!servers.empty()) text += fmt::format(" {}", fmt::join(servers, ","));
    text += '\n';
  }
  return text;
}

}  // namespace holdfast
