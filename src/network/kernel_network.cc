#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "network/host_network.h"
#include "network/rtnetlink.h"
#include "os/child_call.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kCommandLimit{30};

Status write_sysctl(const std::string& path, std::string_view value) {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_file(path, O_WRONLY));
  auto status = write_all(fd, value);
  if (!status) return tl::unexpected(std::move(status).error().wrap(path));
  return {};
}

Status enable_forwarding(const std::string& path) {
  if (const auto value = read_file(path); value && value->starts_with("1")) return {};
  RETURN_IF_ERROR(write_sysctl(path, "1"));
  log::info("turned IP forwarding on: {}", path);
  return {};
}

// The address of a bridge would follow its lowest port's and change under its neighbours as ports
// come and go, unless it is set once.
std::string bridge_mac(const BridgePlan& plan) {
  std::array<unsigned, 4> tail{};
  if (!plan.gateways.empty()) {
    const IpAddress& address = plan.gateways.front().address;
    for (std::size_t i = 0; i < 4; ++i)
      tail[i] = address.bytes()[static_cast<std::size_t>(address.bits() / 8) - 4 + i];
  }
  return fmt::format("02:42:{:02x}:{:02x}:{:02x}:{:02x}", tail[0], tail[1], tail[2], tail[3]);
}

constexpr auto kPatience = std::chrono::seconds(10);  // for a child that makes a few calls

void bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  ::ioctl(socket.get(), SIOCSIFFLAGS, &request);
}

// What a new namespace, which this thread is in, starts out with.
void prepare_netns() {
  bring_loopback_up();
  // As dockerd has it: any user of a container may use low ports and ping.
  (void)write_sysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  (void)write_sysctl("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
}

// Runs on a thread of its own, which ends in the new namespace.
Status make_netns_here(const std::string& path) {
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno("create network namespace");
  prepare_netns();
  if (::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("mount network namespace on \"{}\"", path);
  return {};
}

// The same for `owner`, a user namespace, which only a process with a single thread may enter.
Status make_netns_of(BorrowedFd owner, const std::string& path) {
  auto made = call_in_child({owner}, kPatience, [owner](ChildReply& reply) {
    if (::setns(owner.get(), CLONE_NEWUSER) != 0 || ::unshare(CLONE_NEWNET) != 0)
      return reply.fail(0, errno);
    int netns = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    netns < 0 ? reply.fail(1, errno) : reply.give(netns);
  });
  if (!made) return tl::unexpected(std::move(made).error().wrap("create network namespace"));
  if (made->number != 0 || made->files.empty())
    return fail_errno_text(made->number, "create network namespace");
  const BorrowedFd netns = made->files[0];
  if (::setns(netns.get(), CLONE_NEWNET) != 0) return fail_errno("enter network namespace");
  prepare_netns();
  const std::string source = fmt::format("/proc/self/fd/{}", netns.get());
  if (::mount(source.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("mount network namespace on \"{}\"", path);
  return {};
}

void collect_routes(std::vector<Subnet>& subnets) {
  std::istringstream lines(read_file("/proc/net/route").value_or(""));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    char name[32];
    unsigned destination = 0, gateway = 0, flags = 0, mask = 0;
    if (std::sscanf(line.c_str(), "%31s %x %x %x %*s %*s %*s %x", name, &destination, &gateway,
                    &flags, &mask) != 5)
      continue;
    if (mask == 0) continue;  // the default route takes nothing
    char text[INET_ADDRSTRLEN];
    const in_addr address{destination};
    inet_ntop(AF_INET, &address, text, sizeof text);
    subnets.push_back({*IpAddress::parse(text), __builtin_popcount(mask)});
  }
}

void collect_addresses(std::vector<Subnet>& subnets) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr) continue;
    const bool v6 = one->ifa_addr->sa_family == AF_INET6;
    if (!v6 && one->ifa_addr->sa_family != AF_INET) continue;
    const auto bytes_of = [&](const sockaddr* address) {
      return v6 ? reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr.s6_addr
                : reinterpret_cast<const std::uint8_t*>(
                      &reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
    };
    char text[INET6_ADDRSTRLEN];
    inet_ntop(v6 ? AF_INET6 : AF_INET, bytes_of(one->ifa_addr), text, sizeof text);
    int prefix = 0;
    for (int i = 0; i < (v6 ? 16 : 4); ++i)
      prefix += __builtin_popcount(bytes_of(one->ifa_netmask)[i]);
    subnets.push_back({IpAddress::parse(text)->first_of(prefix), prefix});
  }
  ::freeifaddrs(list);
}

Status run_checked(std::vector<std::string> argv, std::string_view input) {
  const std::string name = argv.front();
  ProcessOptions options;
  options.argv = std::move(argv);
  ASSIGN_OR_RETURN(const CommandOutput output,
                   run_command(std::move(options), input, kCommandLimit));
  if (output.status.success()) return {};
  return fail(Code::kInternal, "{}: exit code {}: {}", name, output.status.code, output.err);
}

// A socket bound to the port. Without `listening` nobody can connect to it, which is what we want:
// packets to the port are redirected before they get here, and those that aren't are refused.
Result<UniqueFd> bind_port(Protocol protocol, const IpAddress& address, std::uint16_t port,
                           bool listening) {
  const int family = address.is_v6() ? AF_INET6 : AF_INET;
  const int type = protocol == Protocol::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  UniqueFd fd(
      ::socket(family, type | SOCK_CLOEXEC, protocol == Protocol::kSctp ? IPPROTO_SCTP : 0));
  if (!fd) return fail_errno("open socket");
  const int on = 1;
  if (listening) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage name{};
  socklen_t size = sizeof(sockaddr_in);
  if (address.is_v6()) {
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(name);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
    size = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(name);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), 4);
  }
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0)
    return fail_errno("bind {} port {}", address.str(), port);
  if (listening && ::listen(fd.get(), 1) != 0)
    return fail_errno("listen on {} port {}", address.str(), port);
  return fd;
}

// The name server running on `directory`, by the pid it left there; an invalid fd when there is
// none.
UniqueFd find_name_server(const std::string& directory) {
  const auto text = read_file(directory + "/aardvark.pid");
  pid_t pid = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), pid).ec != std::errc())
    return {};
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return {};
  // The pid may be somebody else's by now.
  const auto command = read_file(fmt::format("/proc/{}/cmdline", pid));
  const std::string argument = '\0' + directory + '\0';
  if (!command || command->find(argument) == std::string::npos) return {};
  return process;
}

// Whether somebody is bound to UDP port 53 of each address.
bool all_served(const std::vector<IpAddress>& addresses) {
  const std::string table = read_file("/proc/net/udp").value_or("");
  return std::all_of(addresses.begin(), addresses.end(), [&](const IpAddress& address) {
    if (address.is_v6()) return true;
    std::uint32_t number = 0;
    std::memcpy(&number, address.bytes().data(), sizeof number);
    return table.find(fmt::format(" {:08X}:0035 ", number)) != std::string::npos;
  });
}

class KernelNetwork final : public HostNetwork {
 public:
  explicit KernelNetwork(std::string aardvark) : aardvark_(std::move(aardvark)) {}

  std::vector<Subnet> subnets_in_use() override {
    std::vector<Subnet> subnets;
    collect_addresses(subnets);
    collect_routes(subnets);
    return subnets;
  }

  bool has_interface(const std::string& name) override {
    return ::if_nametoindex(name.c_str()) != 0;
  }

  Status ensure_bridge(const BridgePlan& plan) override;
  Status remove_interface(const std::string& name) override {
    ASSIGN_OR_RETURN(Rtnetlink host, Rtnetlink::open());
    return host.delete_link(name);
  }
  Status plug(const CablePlan& plan) override;
  Status add_default_route(const std::string& netns, const std::string& interface,
                           const IpAddress& gateway) override;
  Status create_netns(const std::string& path, BorrowedFd owner) override;
  Status remove_netns(const std::string& path) override;

  Status apply_rules(bool v6, const std::string& text) override {
    return run_checked({v6 ? "ip6tables-restore" : "iptables-restore", "--noflush", "--wait"},
                       text);
  }
  Status ensure_jump(bool v6, const std::string& table, const std::string& chain,
                     const std::vector<std::string>& rule) override;

  Result<UniqueFd> hold_port(Protocol protocol, const IpAddress& address,
                             std::uint16_t port) override {
    auto held = bind_port(protocol, address, port, false);
    // Connections in TIME_WAIT, of a server that ran on the host before, are in nobody's way, but
    // only a listening socket may pass over them.
    if (!held && held.error().sys_errno == EADDRINUSE && protocol == Protocol::kTcp)
      return bind_port(protocol, address, port, true);
    return held;
  }

  Status reload_names(const std::string& directory,
                      const std::vector<IpAddress>& addresses) override;

  // systemd-resolved's own list, where /etc/resolv.conf only names its stub.
  std::string resolv_conf() override {
    auto text = read_file("/etc/resolv.conf").value_or("");
    if (text.find("nameserver 127.0.0.53") == std::string::npos) return text;
    return read_file("/run/systemd/resolve/resolv.conf").value_or(text);
  }

 private:
  Status start_names(const std::string& directory);

  std::string aardvark_;
  std::vector<IpAddress>
      unserved_;  // what reload_names(), which nobody calls twice at once, waited for in vain
};

Status KernelNetwork::ensure_bridge(const BridgePlan& plan) {
  ASSIGN_OR_RETURN(Rtnetlink host, Rtnetlink::open());
  ASSIGN_OR_RETURN(std::optional<int> index, host.link_index(plan.name));
  if (!index) {
    RETURN_IF_ERROR(host.create_bridge(plan.name, plan.mtu));
    ASSIGN_OR_RETURN(index, host.link_index(plan.name));
    if (!index) return fail(Code::kAborted, "bridge \"{}\" is gone again", plan.name);
    RETURN_IF_ERROR(host.set_mac(*index, bridge_mac(plan)));
  } else if (!file_exists("/sys/class/net/" + plan.name + "/bridge")) {
    return fail(Code::kConflict, "existing interface {} is not a bridge", plan.name);
  }
  for (const InterfaceAddress& gateway : plan.gateways)
    RETURN_IF_ERROR(host.add_address(*index, gateway.address, gateway.prefix));
  RETURN_IF_ERROR(host.set_up(*index));
  // Published ports on 127.0.0.1: packets from the host's loopback may leave through this bridge.
  RETURN_IF_ERROR(
      write_sysctl(fmt::format("/proc/sys/net/ipv4/conf/{}/route_localnet", plan.name), "1"));
  RETURN_IF_ERROR(enable_forwarding("/proc/sys/net/ipv4/ip_forward"));
  for (const InterfaceAddress& gateway : plan.gateways)
    if (gateway.address.is_v6()) return enable_forwarding("/proc/sys/net/ipv6/conf/all/forwarding");
  return {};
}

Status KernelNetwork::plug(const CablePlan& plan) {
  ASSIGN_OR_RETURN(const UniqueFd netns, open_file(plan.netns, O_RDONLY));
  ASSIGN_OR_RETURN(Rtnetlink host, Rtnetlink::open());
  ASSIGN_OR_RETURN(const std::optional<int> bridge, host.link_index(plan.bridge));
  if (!bridge) return fail(Code::kNotFound, "bridge \"{}\" not found", plan.bridge);
  RETURN_IF_ERROR(host.create_veth(plan.host_name, *bridge, plan.name, netns, plan.mac, plan.mtu));
  if (plan.isolated || plan.hairpin) {
    ASSIGN_OR_RETURN(const std::optional<int> port, host.link_index(plan.host_name));
    if (port) RETURN_IF_ERROR(host.set_port(*port, plan.isolated, plan.hairpin));
  }
  ASSIGN_OR_RETURN(Rtnetlink inside, Rtnetlink::open_in(netns));
  ASSIGN_OR_RETURN(const std::optional<int> link, inside.link_index(plan.name));
  if (!link) return fail(Code::kAborted, "interface \"{}\" is gone again", plan.name);
  for (const InterfaceAddress& one : plan.addresses)
    RETURN_IF_ERROR(inside.add_address(*link, one.address, one.prefix));
  RETURN_IF_ERROR(inside.set_up(*link));
  for (const IpAddress& gateway : plan.default_routes)
    RETURN_IF_ERROR(inside.add_default_route(*link, gateway));
  return {};
}

Status KernelNetwork::create_netns(const std::string& path, BorrowedFd owner) {
  RETURN_IF_ERROR(remove_netns(path));
  RETURN_IF_ERROR(make_directories(std::filesystem::path(path).parent_path(), 0711));
  ASSIGN_OR_RETURN(const UniqueFd target, open_file(path, O_RDONLY | O_CREAT, 0444));
  Status status;
  std::thread([&] {
    status = owner.valid() ? make_netns_of(owner, path) : make_netns_here(path);
  }).join();
  if (!status) (void)remove_file(path);
  return status;
}

Status KernelNetwork::remove_netns(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH) != 0 && errno != EINVAL && errno != ENOENT)
    return fail_errno("unmount network namespace \"{}\"", path);
  return remove_file(path);
}

Status KernelNetwork::ensure_jump(bool v6, const std::string& table, const std::string& chain,
                                  const std::vector<std::string>& rule) {
  const std::string program = v6 ? "ip6tables" : "iptables";
  std::vector<std::string> argv = {program, "--wait", "-t", table, "-C", chain};
  argv.insert(argv.end(), rule.begin(), rule.end());
  if (run_checked(argv, {})) return {};
  argv[4] = "-I";
  return run_checked(argv, {});
}

Status KernelNetwork::add_default_route(const std::string& netns, const std::string& interface,
                                        const IpAddress& gateway) {
  ASSIGN_OR_RETURN(const UniqueFd fd, open_file(netns, O_RDONLY));
  ASSIGN_OR_RETURN(Rtnetlink inside, Rtnetlink::open_in(fd));
  ASSIGN_OR_RETURN(const std::optional<int> link, inside.link_index(interface));
  if (!link) return fail(Code::kNotFound, "interface \"{}\" not found", interface);
  return inside.add_default_route(*link, gateway);
}

Status KernelNetwork::start_names(const std::string& directory) {
  ProcessOptions options;
  options.argv = {aardvark_, "--config", directory, "-p", "53", "run"};
  options.new_session = true;
  // It forks and its first process ends when the second serves; that one outlives us.
  ASSIGN_OR_RETURN(Process process, Process::spawn(options));
  ASSIGN_OR_RETURN(const auto status, process.wait_for(std::chrono::seconds(5)));
  if (!status || !status->success())
    return fail(Code::kUnavailable, "start name server {} on \"{}\"", aardvark_, directory);
  return {};
}

Status KernelNetwork::reload_names(const std::string& directory,
                                   const std::vector<IpAddress>& addresses) {
  const UniqueFd server = find_name_server(directory);
  if (server) ::syscall(SYS_pidfd_send_signal, server.get(), SIGHUP, nullptr, 0);
  if (addresses.empty()) {
    if (!server) return {};
    // It ends when it finds nothing to serve. Not before it has may a new one be wanted: that would
    // be told to read again while it is on its way out.
    pollfd ended{server.get(), POLLIN, 0};
    if (::poll(&ended, 1, 5000) == 1) return {};
    ::syscall(SYS_pidfd_send_signal, server.get(), SIGKILL, nullptr, 0);
    return remove_file(directory + "/aardvark.pid");
  }
  if (!server) RETURN_IF_ERROR(start_names(directory));
  // A container that starts to ask at once must not be refused. There is nothing to wait on but the
  // kernel's table.
  for (int tries = 0; !all_served(addresses); ++tries) {
    if (tries == 500) {
      log::warn("name server does not listen on port 53: is another one on the host's addresses?");
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return {};
}

}  // namespace

std::unique_ptr<HostNetwork> make_kernel_network(std::string aardvark) {
  return std::make_unique<KernelNetwork>(std::move(aardvark));
}

}  // namespace holdfast
