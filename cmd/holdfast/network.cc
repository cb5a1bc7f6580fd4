// network create, connect, disconnect, ls, rm; inspect is in inspect.cc, prune in prune.cc.
#include <algorithm>
#include <memory>

#include "client/run/network_spec.h"
#include "client/run/value_specs.h"
#include "verbs.h"

namespace holdfast::cli {
namespace {

using client::url_escape;

client::TemplateData network_row(const json::Object& network, bool truncate) {
  std::string id = json::string_or(network, "Id");
  const auto& labels = json::object_or_empty(network, "Labels");
  auto flag = [&](std::string_view key) { return json::bool_or(network, key) ? "true" : "false"; };
  std::string created = json::string_or(network, "Created");
  if (auto time =
          parse_rfc3339(created)) {  // as Go prints a time: "2026-01-02 15:04:05.6 +0000 UTC"
    created = to_rfc3339(*time);
    created.replace(created.find_first_of('T'), 1, " ");
    created.replace(created.size() - 1, 1, " +0000 UTC");
  }
  return make_row({{"ID", truncate ? short_id(id) : id},
                   {"Name", json::string_or(network, "Name")},
                   {"Driver", json::string_or(network, "Driver")},
                   {"Scope", json::string_or(network, "Scope")},
                   {"IPv4", flag("EnableIPv4")},
                   {"IPv6", flag("EnableIPv6")},
                   {"Internal", flag("Internal")},
                   {"Labels", pairs_text(labels)},
                   {"CreatedAt", created}},
                  labels);
}

struct CreateOptions {
  bool attachable = false, internal = false, ipv6 = false, ingress = false, config_only = false;
  std::optional<bool> ipv4;
  std::string driver = "bridge", ipam_driver = "default", scope, config_from;
  std::vector<std::string> options, labels, subnets, gateways, ranges, ipam_options, aux;
};

// Each --gateway and --ip-range belongs to a --subnet; Docker pairs them by containment. With one
// subnet of a family there is nothing to choose.
Result<json::Array> ipam_config(const CreateOptions& options) {
  json::Array config;
  auto family = [](std::string_view text) { return text.find(':') != std::string_view::npos; };
  if (options.subnets.empty() && (!options.gateways.empty() || !options.ranges.empty()))
    return fail(Code::kInvalidArgument,
                "every ip-range or gateway must have a corresponding subnet");
  for (const auto& subnet : options.subnets) config.push_back(json::Object{{"Subnet", subnet}});
  auto assign = [&](const std::vector<std::string>& values, std::string_view key) -> Status {
    for (const auto& value : values) {
      bool placed = false;
      for (std::size_t i = 0; i < options.subnets.size() && !placed; ++i) {
        auto& entry = config[i].get_object();
        if (family(options.subnets[i]) != family(value) || entry.contains(key)) continue;
        entry[key] = value;
        placed = true;
      }
      if (!placed)
        return fail(Code::kInvalidArgument, "no matching subnet for {} {}",
                    key == "Gateway" ? "gateway" : "range", value);
    }
    return {};
  };
  RETURN_IF_ERROR(assign(options.gateways, "Gateway"));
  RETURN_IF_ERROR(assign(options.ranges, "IPRange"));
  if (!options.aux.empty() && !config.empty())
    config[0].get_object()["AuxiliaryAddresses"] = client::pairs_to_object(options.aux);
  return config;
}

Result<int> create_network(Cli& cli, const CreateOptions& options, const std::string& name) {
  ASSIGN_OR_RETURN(auto config, ipam_config(options));
  json::Object ipam{{"Driver", options.ipam_driver},
                    {"Options", client::pairs_to_object(options.ipam_options)},
                    {"Config", std::move(config)}};
  json::Object body{{"Name", name},
                    {"Driver", options.driver},
                    {"Scope", options.scope},
                    {"EnableIPv6", options.ipv6},
                    {"IPAM", std::move(ipam)},
                    {"Internal", options.internal},
                    {"Attachable", options.attachable},
                    {"Ingress", options.ingress},
                    {"ConfigOnly", options.config_only},
                    {"Options", client::pairs_to_object(options.options)},
                    {"Labels", client::pairs_to_object(options.labels)},
                    {"CheckDuplicate", true}};
  if (options.ipv4) body["EnableIPv4"] = *options.ipv4;
  if (!options.config_from.empty())
    body["ConfigFrom"] = json::Object{{"Network", options.config_from}};
  ASSIGN_OR_RETURN(auto answer, cli.engine().post("/networks/create", {}, body));
  if (!answer.is_object()) return fail(Code::kUnavailable, "unexpected EOF");
  cli.out(json::string_or(answer.get_object(), "Id") + "\n");
  if (auto warning = json::string_or(answer.get_object(), "Warning"); !warning.empty())
    cli.err(fmt::format("WARNING: {}\n", warning));
  return 0;
}

// A repeatable flag that also takes commas: --subnet a,b.
void comma_list(client::FlagSet& flags, std::string_view name, std::vector<std::string>& target,
                std::string_view help) {
  flags.add({std::string(name), 0, "strings", std::string(help),
             [&target](std::string_view value) -> Status {
               ASSIGN_OR_RETURN(auto parts, client::split_csv(value));
               target.insert(target.end(), parts.begin(), parts.end());
               return {};
             }});
}

}  // namespace

Command network_create_command() {
  auto options = std::make_shared<CreateOptions>();
  Command command;
  command.arguments = "[OPTIONS] NETWORK";
  command.summary = "Create a network";
  command.examples =
      "  holdfast network create backend                              # containers on it see each "
      "other by name\n"
      "  holdfast network create --subnet 10.9.0.0/24 --internal vault # no way out\n";
  command.min_arguments = command.max_arguments = 1;
  auto& flags = command.flags;
  flags.flag("attachable", 0, options->attachable, "Enable manual container attachment");
  flags.flag("aux-address", 0, options->aux,
             "Auxiliary IPv4 or IPv6 addresses used by Network driver", "map");
  flags.flag("config-from", 0, options->config_from,
             "The network from which to copy the configuration");
  flags.flag("config-only", 0, options->config_only, "Create a configuration only network");
  flags.flag("driver", 'd', options->driver, "Driver to manage the Network (default \"bridge\")");
  comma_list(flags, "gateway", options->gateways, "IPv4 or IPv6 Gateway for the master subnet");
  flags.flag("ingress", 0, options->ingress, "Create swarm routing-mesh network");
  flags.hide("ingress");
  flags.flag("internal", 0, options->internal, "Restrict external access to the network");
  comma_list(flags, "ip-range", options->ranges, "Allocate container ip from a sub-range");
  flags.flag("ipam-driver", 0, options->ipam_driver,
             "IP Address Management Driver (default \"default\")");
  flags.flag("ipam-opt", 0, options->ipam_options, "Set IPAM driver specific options", "map");
  flags.flag("ipv4", 0, options->ipv4, "Enable or disable IPv4 address assignment");
  flags.flag("ipv6", 0, options->ipv6, "Enable or disable IPv6 address assignment");
  flags.flag("label", 0, options->labels, "Set metadata on a network");
  flags.flag("opt", 'o', options->options, "Set driver specific options", "map");
  flags.flag("scope", 0, options->scope, "Control the network's scope");
  comma_list(flags, "subnet", options->subnets,
             "Subnet in CIDR format that represents a network segment");
  command.run = [options](Cli& cli, const Arguments& arguments) {
    return create_network(cli, *options, arguments[0]);
  };
  return command;
}

Command network_connect_command() {
  struct Options {
    std::vector<std::string> aliases, links, link_local, driver_options;
    std::string ip, ip6;
    std::optional<std::int64_t> priority;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS] NETWORK CONTAINER";
  command.summary = "Connect a container to a network";
  command.min_arguments = command.max_arguments = 2;
  auto& flags = command.flags;
  comma_list(flags, "alias", options->aliases, "Add network-scoped alias for the container");
  comma_list(flags, "driver-opt", options->driver_options, "driver options for the network");
  flags.flag("gw-priority", 0, options->priority,
             "Highest gw-priority provides the default gateway");
  flags.flag("ip", 0, options->ip, "IPv4 address (e.g., \"172.30.100.104\")");
  flags.flag("ip6", 0, options->ip6, "IPv6 address (e.g., \"2001:db8::33\")");
  flags.flag("link", 0, options->links, "Add link to another container");
  comma_list(flags, "link-local-ip", options->link_local,
             "Add a link-local address for the container");
  command.run = [options](Cli& cli, const Arguments& arguments) -> Result<int> {
    json::Object endpoint;
    json::Object ipam;
    if (!options->ip.empty()) ipam["IPv4Address"] = options->ip;
    if (!options->ip6.empty()) ipam["IPv6Address"] = options->ip6;
    for (const auto& address : options->link_local)
      client::append_string(ipam, "LinkLocalIPs", address);
    if (!ipam.empty()) endpoint["IPAMConfig"] = ipam;
    for (const auto& alias : options->aliases) client::append_string(endpoint, "Aliases", alias);
    for (const auto& link : options->links) client::append_string(endpoint, "Links", link);
    if (!options->driver_options.empty())
      endpoint["DriverOpts"] = client::pairs_to_object(options->driver_options);
    if (options->priority) endpoint["GwPriority"] = *options->priority;
    json::Object body{{"Container", arguments[1]}, {"EndpointConfig", endpoint}};
    RETURN_IF_ERROR(
        cli.engine().post(fmt::format("/networks/{}/connect", url_escape(arguments[0])), {}, body));
    return 0;
  };
  return command;
}

Command network_disconnect_command() {
  auto force = std::make_shared<bool>();
  Command command;
  command.arguments = "[OPTIONS] NETWORK CONTAINER";
  command.summary = "Disconnect a container from a network";
  command.min_arguments = command.max_arguments = 2;
  command.flags.flag("force", 'f', *force, "Force the container to disconnect from a network");
  command.run = [force](Cli& cli, const Arguments& arguments) -> Result<int> {
    json::Object body{{"Container", arguments[1]}, {"Force", *force}};
    RETURN_IF_ERROR(cli.engine().post(
        fmt::format("/networks/{}/disconnect", url_escape(arguments[0])), {}, body));
    return 0;
  };
  return command;
}

Command network_ls_command() {
  struct Options {
    bool quiet = false, no_trunc = false;
    std::string format;
    wire::Filters filters;
  };
  auto options = std::make_shared<Options>();
  Command command;
  command.arguments = "[OPTIONS]";
  command.summary = "List networks";
  add_filter_flag(command.flags, 'f', options->filters,
                  "Provide filter values (e.g. \"driver=bridge\")");
  add_format_flag(command.flags, 0, options->format);
  command.flags.flag("no-trunc", 0, options->no_trunc, "Do not truncate the output");
  command.flags.flag("quiet", 'q', options->quiet, "Only display network IDs");
  command.run = [options](Cli& cli, const Arguments&) -> Result<int> {
    Query query;
    add_filters(query, options->filters);
    ASSIGN_OR_RETURN(auto answer, cli.engine().get("/networks", query));
    std::vector<const json::Object*> networks;
    if (answer.is_array())
      for (const auto& network : answer.get_array())
        if (network.is_object()) networks.push_back(&network.get_object());
    std::sort(networks.begin(), networks.end(), [](const json::Object* a, const json::Object* b) {
      return json::string_or(*a, "Name") < json::string_or(*b, "Name");
    });
    std::vector<client::TemplateData> rows;
    for (const auto* network : networks) rows.push_back(network_row(*network, !options->no_trunc));
    client::ListFormat list;
    list.table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
    list.quiet = "{{.ID}}";
    list.headings = {{"ID", "NETWORK ID"},     {"Name", "NAME"},     {"Driver", "DRIVER"},
                     {"Scope", "SCOPE"},       {"IPv4", "IPV4"},     {"IPv6", "IPV6"},
                     {"Internal", "INTERNAL"}, {"Labels", "LABELS"}, {"CreatedAt", "CREATED AT"}};
    RETURN_IF_ERROR(print_list(cli, options->format, options->quiet, list, std::move(rows)));
    return 0;
  };
  return command;
}

Command network_rm_command() {
  auto force = std::make_shared<bool>();
  Command command;
  command.arguments = "NETWORK [NETWORK...]";
  command.summary = "Remove one or more networks";
  command.min_arguments = 1;
  command.max_arguments = kAnyNumber;
  command.flags.flag("force", 'f', *force, "Do not error if the network does not exist");
  command.run = [force](Cli& cli, const Arguments& arguments) -> Result<int> {
    return for_each_target(cli, arguments, [&](const std::string& name) -> Status {
      auto removed = cli.engine().remove("/networks/" + url_escape(name));
      if (!removed && !(*force && removed.error().code == Code::kNotFound))
        return tl::unexpected(std::move(removed).error());
      return {};
    });
  };
  return command;
}

}  // namespace holdfast::cli
