#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast::http {

// A bound, listening, non-blocking socket. A Unix socket that we made is removed from the file
// system by remove_socket_file(), not by closing.
struct Listener {
  UniqueFd socket;
  std::string address;  // "unix:///run/holdfast.sock", "tcp://127.0.0.1:2376"
  bool tcp = false;
  std::string path;  // of the socket file we made; empty otherwise
  dev_t device = 0;  // its identity: only our own file is removed
  ino_t inode = 0;
};

// Opens what `host` says: "unix:///path", "tcp://address:port", or "fd://" for every socket the
// service manager has passed (sd_listen_fds(3)). Unix sockets get mode 0660 and the group: empty
// means "docker" where it exists, and another name must exist. kAlreadyExists when somebody answers
// at the address; kInvalidArgument for what is no host; kNotFound for "fd://" without sockets.
Result<std::vector<Listener>> open_listeners(const std::string& host, const std::string& group);

void remove_socket_file(const Listener& listener);

}  // namespace holdfast::http
