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
#include "base/unique_fd.h"
#include "network/ports.h"

namespace holdfast {

class HostNetwork;
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
  std::string exec_root;             // run-time state: "<exec-root>/netns", "<exec-root>/network"
  std::string bridge = "holdfast0";  // interface of the default bridge; "none": there is none
  std::string bip;                   // its address, "10.1.2.1/24"; empty: the first free pool
  int mtu = 0;                       // of the default bridge; 0: 1500
  std::vector<AddressPool> pools;    // empty: Docker's
  std::string aardvark = "/usr/lib/podman/aardvark-dns";  // missing: names don't resolve
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

// The networks of one daemon and who is attached to them: bridges, addresses, published ports,
// names. Created by the daemon's main after the Store, owned by it, and ended before it. Any thread
// may call any method; calls about one container are the caller's to put in order. Network
// definitions are records of the Store (RecordKind::kNetwork); who is attached is run-time state
// below exec_root, which outlives the daemon and ends with a reboot:
//
//   <exec-root>/netns/<container id>[.n]         network namespaces, bind-mounted
//   <exec-root>/network/attachments/<key>.json   an Attachment; <key>.gone: after leave()
//   <exec-root>/network/names/<network id>       who is called what, for aardvark-dns
//
// A container's way:  create_netns → reserve → set_up → … → leave → clear
//   reserve   decides everything (addresses, MACs, host ports) and costs microseconds, so that
//             hosts and resolv.conf can be written and the container be created meanwhile
//   set_up    makes it so: a few ms, ~15 ms more with published ports or names; needs root
//   leave     from here on the container counts as gone: its host ports are free, networks don't
//             list it. Microseconds, so before anybody is told that the container has stopped
//   clear     takes down what leave() left, tens of ms, on a background thread. The container may
//             be started anew before that: it gets a namespace of its own.
class Networks {
 public:
  // Reads the records, creates the predefined networks at the first start, and takes the
  // attachments found below exec_root over as they are. Changes nothing on the host yet.
  static Result<std::unique_ptr<Networks>> open(NetworksOptions options, Store& store);
  // The same on another idea of the host, for tests.
  static Result<std::unique_ptr<Networks>> open_on(std::unique_ptr<HostNetwork> host,
                                                   NetworksOptions options, Store& store);
  ~Networks();  // leaves everything on the host as it is
  Networks(const Networks&) = delete;
  Networks& operator=(const Networks&) = delete;

  // After open(), once it is known which containers still run: holds their host ports again, and
  // lets the others leave(). Milliseconds.
  Status restore(const std::set<ContainerId>& live);
  // The slow part of restore(), for a background thread: takes down what the dead left, and
  // namespaces that nobody owned at restore(); writes packet filter and name server anew.
  Status sweep();

  // For the clean end of a daemon: when nobody is attached, takes bridges and packet filter chains
  // off the host; they come back when they are wanted. Else changes nothing.
  Status withdraw();

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
  // A new network namespace with `lo` up, kept alive by a bind mount on the path returned. Needs
  // root. tear_down() ends it, also for a container without networks. `owner` is the user namespace
  // it belongs to, in which the container may change it; none: the daemon's own.
  Result<std::string> create_netns(const ContainerId& container, BorrowedFd owner = BorrowedFd(-1));

  // The one in use; empty when there is none.
  std::string netns_path(const ContainerId& container) const;

  // --- attachments ---
  // Gives the container its addresses and host ports, which are its own from here on until leave().
  // Networks none and host: the endpoint is listed, nothing more. kNotFound: unknown network;
  // kInvalidArgument, kPermissionDenied: the address asked for; kInternal with Docker's words: port
  // taken. After failure nothing is held. An address that a leaving container still has is waited
  // for.
  Result<Attachment> reserve(const AttachRequest& request);
  // Makes a reservation real in the namespace at `netns`. After failure the reservation is still
  // there: tear_down() it.
  Status set_up(const ContainerId& container, const std::string& netns);
  void leave(const ContainerId& container);
  // Takes down what leave() left of this container, its old namespace included; one that it has
  // been given since is not touched. For a background thread.
  Status clear(const ContainerId& container);
  // leave() and clear() in one: for a container that nobody starts meanwhile. Unknown ones are
  // success.
  Status tear_down(const ContainerId& container);
  // One network more or less for a container that is attached. kPermissionDenied with Docker's
  // words when it already is / is not connected. Blocks as set_up does. Returns the attachment as
  // it is then.
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
