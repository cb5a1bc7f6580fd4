#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "network/address.h"
#include "network/ports.h"

namespace holdfast {

// An interface's address: the address itself and the network it is in.
struct InterfaceAddress {
  IpAddress address;
  int prefix = 0;
};

// A bridge as it should be on the host.
struct BridgePlan {
  std::string name;
  std::vector<InterfaceAddress> gateways;  // its own addresses
  int mtu = 0;                             // 0: the kernel's
};

// One container's cable into a bridge.
struct CablePlan {
  std::string bridge;
  std::string host_name;  // interface on the host's side
  std::string netns;      // path of the namespace
  std::string name;       // interface inside, "eth0"
  std::string mac;        // "02:42:ac:11:00:02"
  std::vector<InterfaceAddress> addresses;
  std::vector<IpAddress> default_routes;
  int mtu = 0;
  bool isolated = false;  // no traffic to other isolated ports of the same bridge
  // Whether the container may meet itself at the bridge: it does when it asks for its own published
  // port and the kernel's br_netfilter redirects that before it is routed.
  bool hairpin = false;
};

// The host's network as Networks needs it: the one seam between its logic and the kernel. Any
// thread may call any method; calls that touch the same bridge or namespace are the caller's to
// order.
class HostNetwork {
 public:
  virtual ~HostNetwork() = default;

  // Networks that the host's addresses and routes already take.
  virtual std::vector<Subnet> subnets_in_use() = 0;

  virtual bool has_interface(const std::string& name) = 0;
  // Creates the bridge, or completes one that is there (addresses, up); turns IP forwarding on.
  virtual Status ensure_bridge(const BridgePlan& plan) = 0;
  // Missing is success.
  virtual Status remove_interface(const std::string& name) = 0;

  virtual Status plug(const CablePlan& plan) = 0;
  // For a namespace that has lost its default route. One that is there stays and is success.
  virtual Status add_default_route(const std::string& netns, const std::string& interface,
                                   const IpAddress& gateway) = 0;

  // A new namespace with `lo` up, kept by a bind mount on `path`; an existing one there is
  // replaced. It belongs to `owner`, a user namespace, or to the daemon's.
  virtual Status create_netns(const std::string& path, BorrowedFd owner) = 0;
  // Missing is success. Processes inside keep theirs until they end.
  virtual Status remove_netns(const std::string& path) = 0;

  // Replaces the contents of the chains named in the text (iptables-restore --noflush), all or
  // nothing.
  virtual Status apply_rules(bool v6, const std::string& text) = 0;
  // Makes sure that the built-in chain starts with a jump to ours.
  virtual Status ensure_jump(bool v6, const std::string& table, const std::string& chain,
                             const std::vector<std::string>& rule) = 0;

  // Holds a port of the host so that nobody else can have it. The error carries bind(2)'s errno.
  virtual Result<UniqueFd> hold_port(Protocol protocol, const IpAddress& address,
                                     std::uint16_t port) = 0;

  // Brings the name server to what is in `directory` now: starts it, or tells it to read again; it
  // is listening on port 53 of `addresses` then.
  virtual Status reload_names(const std::string& directory,
                              const std::vector<IpAddress>& addresses) = 0;

  // The resolv.conf that leads to the host's name servers.
  virtual std::string resolv_conf() = 0;
};

// The real one: rtnetlink, iptables-restore, aardvark-dns. Needs root for all that changes
// something.
std::unique_ptr<HostNetwork> make_kernel_network(std::string aardvark);

}  // namespace holdfast
