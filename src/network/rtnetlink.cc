#include "network/rtnetlink.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

namespace holdfast {

// One request: a header, a fixed part, attributes that may nest. Sizes are patched as it grows.
class Rtnetlink::Message {
 public:
  template <typename Fixed>
  Message(int type, int flags, const Fixed& fixed) {
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&header, sizeof header);
    append(&fixed, sizeof fixed);
  }

  void append(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  void add(int type, const void* data, std::size_t size) {
    const std::size_t start = begin(type);
    append(data, size);
    set_length(start, RTA_LENGTH(size));
  }
  void add(int type, const std::string& text) { add(type, text.c_str(), text.size() + 1); }
  void add(int type, const IpAddress& address) {
    add(type, address.bytes().data(), static_cast<std::size_t>(address.bits() / 8));
  }
  void add_int(int type, int value) { add(type, &value, sizeof value); }
  void add_byte(int type, std::uint8_t value) { add(type, &value, sizeof value); }

  std::size_t begin(int type) {
    const std::size_t start = bytes_.size();
    rtattr attribute{};
    attribute.rta_type = static_cast<std::uint16_t>(type);
    append(&attribute, sizeof attribute);
    return start;
  }
  void end(std::size_t start) { set_length(start, bytes_.size() - start); }

  std::string_view finish(std::uint32_t sequence) {
    auto* header = reinterpret_cast<nlmsghdr*>(bytes_.data());
    header->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    header->nlmsg_seq = sequence;
    return {bytes_.data(), bytes_.size()};
  }

 private:
  void set_length(std::size_t start, std::size_t length) {
    reinterpret_cast<rtattr*>(bytes_.data() + start)->rta_len = static_cast<std::uint16_t>(length);
  }

  std::vector<char> bytes_;
};

namespace {

Result<UniqueFd> open_socket() {
  UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno("open netlink socket");
  // The kernel always answers; the timeout is for our own mistakes.
  const timeval timeout{10, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  return socket;
}

ifinfomsg link_message(int index = 0) {
  ifinfomsg message{};
  message.ifi_family = AF_UNSPEC;
  message.ifi_index = index;
  return message;
}

Status check(const Result<int>& number, std::string_view what, const std::string& name) {
  if (!number) return tl::unexpected(number.error());
  if (*number == 0) return {};
  return tl::unexpected(system_error(*number, fmt::format("{} \"{}\"", what, name)));
}

}  // namespace

std::optional<std::string> parse_mac(const std::string& text) {
  unsigned bytes[6] = {};
  int end = 0;
  if (text.size() != 17 ||
      std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1], &bytes[2],
                  &bytes[3], &bytes[4], &bytes[5], &end) != 6 ||
      end != 17)
    return std::nullopt;
  std::string mac;
  for (const unsigned byte : bytes) mac.push_back(static_cast<char>(byte));
  return mac;
}

Result<Rtnetlink> Rtnetlink::open() {
  ASSIGN_OR_RETURN(UniqueFd socket, open_socket());
  return Rtnetlink(std::move(socket));
}

// A socket belongs for good to the namespace of the thread that made it.
Result<Rtnetlink> Rtnetlink::open_in(BorrowedFd netns) {
  Result<UniqueFd> socket;
  std::thread([&] {
    if (::setns(netns.get(), CLONE_NEWNET) != 0)
      socket = fail_errno("enter network namespace");
    else
      socket = open_socket();
  }).join();
  if (!socket) return tl::unexpected(std::move(socket).error());
  return Rtnetlink(*std::move(socket));
}

Result<int> Rtnetlink::request(Message& message, int* index) {
  const std::uint32_t sequence = ++sequence_;
  const std::string_view bytes = message.finish(sequence);
  if (::send(socket_.get(), bytes.data(), bytes.size(), 0) < 0)
    return fail_errno("send to netlink");
  for (;;) {
    alignas(nlmsghdr) char buffer[16384];
    const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("receive from netlink");
    auto left = static_cast<unsigned>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_seq != sequence) continue;
      if (header->nlmsg_type == NLMSG_ERROR)
        return -reinterpret_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
      if (header->nlmsg_type == RTM_NEWLINK && index != nullptr)
        *index = reinterpret_cast<const ifinfomsg*>(NLMSG_DATA(header))->ifi_index;
    }
  }
}

Result<std::optional<int>> Rtnetlink::link_index(const std::string& name) {
  Message message(RTM_GETLINK, 0, link_message());
  message.add(IFLA_IFNAME, name);
  int index = 0;
  ASSIGN_OR_RETURN(const int number, request(message, &index));
  if (number == ENODEV) return std::nullopt;
  RETURN_IF_ERROR(check(number, "look up interface", name));
  return index;
}

Status Rtnetlink::create_bridge(const std::string& name, int mtu) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_message());
  message.add(IFLA_IFNAME, name);
  if (mtu > 0) message.add_int(IFLA_MTU, mtu);
  const std::size_t info = message.begin(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, std::string("bridge"));
  message.end(info);
  return check(request(message), "create bridge", name);
}

Status Rtnetlink::create_veth(const std::string& name, int bridge, const std::string& peer_name,
                              BorrowedFd peer_netns, const std::string& peer_mac, int mtu) {
  ifinfomsg here = link_message();
  here.ifi_flags = IFF_UP;
  here.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, here);
  message.add(IFLA_IFNAME, name);
  message.add_int(IFLA_MASTER, bridge);
  if (mtu > 0) message.add_int(IFLA_MTU, mtu);
  const std::size_t info = message.begin(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, std::string("veth"));
  const std::size_t data = message.begin(IFLA_INFO_DATA);
  const std::size_t peer = message.begin(VETH_INFO_PEER);
  const ifinfomsg there = link_message();
  message.append(&there, sizeof there);
  message.add(IFLA_IFNAME, peer_name);
  message.add_int(IFLA_NET_NS_FD, peer_netns.get());
  if (const auto mac = parse_mac(peer_mac)) message.add(IFLA_ADDRESS, mac->data(), mac->size());
  if (mtu > 0) message.add_int(IFLA_MTU, mtu);
  message.end(peer);
  message.end(data);
  message.end(info);
  return check(request(message), "create interface", name);
}

Status Rtnetlink::set_mac(int link, const std::string& mac) {
  const auto bytes = parse_mac(mac);
  if (!bytes) return fail(Code::kInvalidArgument, "invalid MAC address: {}", mac);
  Message message(RTM_NEWLINK, 0, link_message(link));
  message.add(IFLA_ADDRESS, bytes->data(), bytes->size());
  return check(request(message), "set address of interface", std::to_string(link));
}

Status Rtnetlink::set_up(int link) {
  ifinfomsg message_header = link_message(link);
  message_header.ifi_flags = IFF_UP;
  message_header.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, 0, message_header);
  return check(request(message), "bring up interface", std::to_string(link));
}

Status Rtnetlink::set_port(int link, bool isolated, bool hairpin) {
  ifinfomsg message_header = link_message(link);
  message_header.ifi_family = AF_BRIDGE;
  Message message(RTM_SETLINK, 0, message_header);
  const std::size_t port = message.begin(IFLA_PROTINFO | NLA_F_NESTED);
  message.add_byte(IFLA_BRPORT_ISOLATED, isolated);
  message.add_byte(IFLA_BRPORT_MODE, hairpin);
  message.end(port);
  return check(request(message), "set up bridge port", std::to_string(link));
}

Status Rtnetlink::delete_link(const std::string& name) {
  Message message(RTM_DELLINK, 0, link_message());
  message.add(IFLA_IFNAME, name);
  ASSIGN_OR_RETURN(const int number, request(message));
  if (number == ENODEV) return {};
  return check(number, "delete interface", name);
}

Status Rtnetlink::add_address(int link, const IpAddress& address, int prefix) {
  ifaddrmsg header{};
  header.ifa_family = address.is_v6() ? AF_INET6 : AF_INET;
  header.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  // Duplicate address detection would keep a container's address unusable for its first second.
  header.ifa_flags = address.is_v6() ? IFA_F_NODAD : 0;
  header.ifa_index = static_cast<unsigned>(link);
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  message.add(IFA_LOCAL, address);
  message.add(IFA_ADDRESS, address);
  if (!address.is_v6()) message.add(IFA_BROADCAST, address.last_of(prefix));
  ASSIGN_OR_RETURN(const int number, request(message));
  if (number == EEXIST) return {};
  return check(number, "add address", fmt::format("{}/{}", address.str(), prefix));
}

Status Rtnetlink::add_default_route(int link, const IpAddress& gateway) {
  rtmsg header{};
  header.rtm_family = gateway.is_v6() ? AF_INET6 : AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, header);
  message.add(RTA_GATEWAY, gateway);
  message.add_int(RTA_OIF, link);
  ASSIGN_OR_RETURN(const int number, request(message));
  if (number == EEXIST) return {};
  return check(number, "add default route by", gateway.str());
}

}  // namespace holdfast
