#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "network/address.h"

namespace holdfast {

// A route netlink socket (rtnetlink(7)) of one network namespace: links, addresses and routes. Not
// thread-safe.
class Rtnetlink {
 public:
  // Of the calling thread's namespace, or of the one that `netns` refers to.
  static Result<Rtnetlink> open();
  static Result<Rtnetlink> open_in(BorrowedFd netns);

  // nullopt: no such link.
  Result<std::optional<int>> link_index(const std::string& name);
  // kAlreadyExists if there is one of that name.
  Status create_bridge(const std::string& name, int mtu);
  // A pair: `name` here as a port of `bridge`, up; `peer_name` with `peer_mac` in `peer_netns`.
  Status create_veth(const std::string& name, int bridge, const std::string& peer_name,
                     BorrowedFd peer_netns, const std::string& peer_mac, int mtu);
  Status set_mac(int link, const std::string& mac);
  Status set_up(int link);
  // How a bridge treats this port: `isolated` ones exchange nothing, `hairpin` sends back what came
  // from it.
  Status set_port(int link, bool isolated, bool hairpin);
  // Missing is success.
  Status delete_link(const std::string& name);
  // What is there already is success.
  Status add_address(int link, const IpAddress& address, int prefix);
  Status add_default_route(int link, const IpAddress& gateway);

 private:
  class Message;
  explicit Rtnetlink(UniqueFd socket) : socket_(std::move(socket)) {}
  // Sends and waits for the acknowledgement; 0 or an errno.
  Result<int> request(Message& message, int* index = nullptr);

  UniqueFd socket_;
  std::uint32_t sequence_ = 0;
};

// "02:42:ac:11:00:02" as six bytes; nullopt if it is no such text.
std::optional<std::string> parse_mac(const std::string& text);

}  // namespace holdfast
