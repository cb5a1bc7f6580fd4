#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/typed_id.h"
#include "network/ports.h"

namespace holdfast {

class Store;

// What HostConfig.NetworkMode says. "" and "default" are the default bridge.
struct NetworkMode {
  enum class Kind { kNetwork, kHost, kNone, kContainer };
  Kind kind = Kind::kNetwork;
  std::string reference;  // kNetwork: a network's name or id ("bridge" for the default);
                          // kContainer: a container's name or id
};

// kInvalidArgument: "container:" without a name.
Result<NetworkMode> parse_network_mode(std::string_view text);

// A range that automatic subnets are cut from: "172.18.0.0/16" into pieces of /16.
struct AddressPool {
  std::string base;
  int size = 24;
};

struct NetworksOptions {
  std::string exec_root;  // run-time state: "<exec-root>/netns", "<exec-root>/network"
  std::string bridge =
      "holdfast0";  // interface of the default bridge; "none": there is no default bridge
  std::string bip;  // its address, "10.1.2.1/24"; empty: the first free pool
  int mtu = 0;      // of the default bridge; 0: the kernel's
  std::vector<AddressPool> pools;  // empty: Docker's
  std::string netavark = "/usr/lib/podman/netavark";
  std::string aardvark = "/usr/lib/podman/aardvark-dns";
};

// One entry of IPAM.Config. Empty text: ours to choose.
struct IpamConfig {
  std::string subnet;
  std::string gateway;
  std::string ip_range;
  std::map<std::string, std::string> auxiliary;
};

// The body of POST /networks/create.
struct NetworkSpec {
  std::string name;
  std::string driver = "bridge";
  bool internal = false;
  bool attachable = false;
  bool ingress = false;
  bool config_only = false;
  bool ipv4 = true;
  bool ipv6 = false;
  std::string scope;
  std::string ipam_driver = "default";
  std::map<std::string, std::string> ipam_options;
  std::vector<IpamConfig> ipam;
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;

  static Result<NetworkSpec> from_json(const json::Object& body);
};

// A container's tie to one network: what EndpointSettings ask for, and once attached what it got.
// `from_json` reads the JSON of EndpointSettings (NetworkingConfig.EndpointsConfig.NAME of a create
// request, EndpointConfig of a connect request), `to_json` writes it as inspect shows it.
struct Endpoint {
  // Asked for.
  std::string network;  // name or id
  std::vector<std::string> aliases;
  std::vector<std::string> links;
  std::map<std::string, std::string> driver_options;
  std::string requested_ipv4;
  std::string requested_ipv6;
  std::string requested_mac;
  int gateway_priority = 0;

  // Given. All empty while the container is not attached.
  NetworkId network_id;
  std::string network_name;
  std::string endpoint_id;
  std::string interface;  // inside: "eth0"
  std::string mac;
  std::string ipv4;
  int ipv4_prefix = 0;
  std::string ipv4_gateway;
  std::string ipv6;
  int ipv6_prefix = 0;
  std::string ipv6_gateway;
  std::vector<std::string> dns_names;

  static Result<Endpoint> from_json(std::string_view network, const json::Object& settings);
  json::Object to_json() const;
};

// A container about to be attached.
struct AttachRequest {
  ContainerId container;
  std::string container_name;  // without the slash
  std::string hostname;
  std::vector<Endpoint> endpoints;  // the first one is eth0 and the default route
  std::vector<PortRequest> ports;   // parse_port_bindings()
  std::vector<std::string> dns;     // --dns: where the container's names are asked for
};

// What a container has while it runs.
struct Attachment {
  ContainerId container;
  std::string container_name;
  std::string hostname;
  std::string netns;  // path of the network namespace; empty before set_up()
  std::vector<Endpoint> endpoints;
  std::vector<PublishedPort> ports;
  std::vector<std::string> dns;
};

// HostConfig's Dns, DnsSearch, DnsOptions.
struct ContainerDns {
  std::vector<std::string> servers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};

// The networks of one daemon and who is attached to them; bridges, addresses, published ports,
// names. Created by the daemon's main after the Store, owned by it, and ended before it. Any thread
// may call any method. Network definitions are records of the Store (RecordKind::kNetwork); who is
// attached is run-time state below exec_root, which outlives the daemon and ends with a reboot.
//
// A container's way:  create_netns → reserve → set_up → … → tear_down (→ remove_netns)
//   reserve   decides everything (addresses, MACs, host ports) and costs microseconds, so that
//             hosts and resolv.conf can be written and the container be created meanwhile
//   set_up    makes it so with netavark: blocks ~50 ms, needs root
//   tear_down undoes both: blocks up to ~250 ms, meant for a background thread; a container that
//             wants the same host port or fixed address waits in its own reserve()
class Networks {
 public:
  // Reads the records, creates the predefined networks at the first start, and takes the
  // attachments found below exec_root over as they are. Changes nothing on the host yet.
  static Result<std::unique_ptr<Networks>> open(NetworksOptions options, Store& store);
  ~Networks();  // leaves everything on the host as it is
  Networks(const Networks&) = delete;
  Networks& operator=(const Networks&) = delete;

  // After open(), once it is known which containers still run: keeps those attachments (their host
  // ports are held again), tears the others down and sweeps namespaces nobody owns. What belongs to
  // the dead is taken down before it returns only as far as needed to be invisible; the rest is
  // done by sweep().
  Status restore(const std::set<ContainerId>& live);
  // The slow part of restore(); blocks, for a background thread.
  void sweep();

  // --- networks ---
  struct Created {
    NetworkId id;
    std::string warning;
  };
  // kAlreadyExists: name taken; kInvalidArgument: bad subnet, gateway, …; kPermissionDenied:
  // overlapping pool, predefined name; kNotFound: unknown driver. Durable on return.
  Result<Created> create(const NetworkSpec& spec);
  // Exact id, exact name, then unambiguous id prefix. kNotFound: "network x not found".
  Result<NetworkId> find(std::string_view name_or_id) const;
  Result<std::string> name_of(const NetworkId& id) const;
  // GET /networks/{id}
  Result<json::Object> inspect(std::string_view name_or_id) const;
  // GET /networks: `filters` as in the query, key → values. kInvalidArgument: unknown filter.
  Result<json::Array> list(const std::map<std::string, std::vector<std::string>>& filters) const;
  // Returns the id and name of what was removed. kPermissionDenied: predefined, or active
  // endpoints.
  struct Removed {
    NetworkId id;
    std::string name;
    std::string driver;
  };
  Result<Removed> remove(std::string_view name_or_id);
  // Removes user-defined networks without endpoints, but for those in `keep` (used by stopped
  // containers).
  Result<std::vector<Removed>> prune(const std::map<std::string, std::vector<std::string>>& filters,
                                     const std::set<NetworkId>& keep);

  // --- namespaces ---
  // A new network namespace with `lo` up, kept alive by a bind mount on netns_path(). Needs root.
  Result<std::string> create_netns(const ContainerId& container);
  std::string netns_path(const ContainerId& container) const;
  // Missing is success.
  Status remove_netns(const ContainerId& container);

  // --- attachments ---
  // Gives the container its addresses and host ports, which are its own from here on until
  // tear_down(). Networks none and host: the endpoint is listed, nothing more. kNotFound: unknown
  // network; kInvalidArgument / kPermissionDenied: address taken, outside of the subnet; kInternal
  // with Docker's words: port taken. After failure nothing is held.
  Result<Attachment> reserve(const AttachRequest& request);
  // Makes a reservation real in the namespace at `netns`: one netavark call for all its networks.
  // After failure the reservation is still there: tear_down() it.
  Status set_up(const ContainerId& container, const std::string& netns);
  // Ends the attachment and removes the namespace that create_netns made. Unknown containers are
  // success.
  Status tear_down(const ContainerId& container);
  // One network more or less for a running container. kPermissionDenied with Docker's words when it
  // already is / is not connected. Blocks as set_up does. Returns the attachment as it is then.
  Result<Attachment> connect(const ContainerId& container, const Endpoint& endpoint);
  Result<Attachment> disconnect(const ContainerId& container, std::string_view network);
  std::optional<Attachment> attachment(const ContainerId& container) const;
  // Containers attached to the network now.
  std::vector<ContainerId> attached(const NetworkId& network) const;
  // After `docker rename`: new names resolve.
  Status rename(const ContainerId& container, const std::string& name);

  // --- files ---
  // Text of /etc/resolv.conf: with a user-defined network its own name server, else what the host
  // uses without loopback servers. `networks` as in the attachment; empty for host, none.
  std::string resolv_conf(const ContainerDns& dns, const std::vector<Endpoint>& endpoints) const;
  // Text of /etc/hosts. `extra`: "name:address" or "name=address"; address "host-gateway" is the
  // default bridge's.
  Result<std::string> hosts(std::string_view hostname, std::string_view domainname,
                            const std::vector<Endpoint>& endpoints,
                            const std::vector<std::string>& extra) const;

 private:
  struct Impl;
  explicit Networks(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
