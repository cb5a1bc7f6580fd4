#include "http/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "base/file.h"

namespace holdfast::http {
namespace {

constexpr int kBacklog = 1024;
constexpr int kFirstPassedFd = 3;  // SD_LISTEN_FDS_START

Result<UniqueFd> make_socket(int family) {
  UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("create a socket");
  return socket;
}

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path[0] != '/')
    return fail(Code::kInvalidArgument, "socket path \"{}\" is not absolute", path);
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::kInvalidArgument, "socket path \"{}\" is longer than {} bytes", path,
                sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// nullopt: leave the group as it is.
Result<std::optional<gid_t>> find_group(const std::string& name) {
  std::string wanted = name.empty() ? "docker" : name;
  char buffer[16 << 10];
  group entry = {};
  group* found = nullptr;
  ::getgrnam_r(wanted.c_str(), &entry, buffer, sizeof buffer, &found);
  if (found) return found->gr_gid;
  if (name.empty()) return std::nullopt;
  gid_t number = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) return number;
  return fail(Code::kInvalidArgument, "group \"{}\" does not exist", name);
}

// Makes way for a new socket at `path`: one that a dead process left is removed.
Status replace_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("stat \"{}\"", path);
  }
  if (!S_ISSOCK(status.st_mode))
    return fail(Code::kAlreadyExists, "\"{}\" exists and is not a socket", path);
  ASSIGN_OR_RETURN(auto probe, make_socket(AF_UNIX));
  int result = ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN is a live socket with a full backlog.
  if (result == 0 || errno != ECONNREFUSED)
    return fail(Code::kAlreadyExists, "another process is listening on \"{}\"", path);
  return remove_file(path);
}

Result<Listener> open_unix(const std::string& path, const std::string& group) {
  ASSIGN_OR_RETURN(auto address, unix_address(path));
  ASSIGN_OR_RETURN(auto gid, find_group(group));
  RETURN_IF_ERROR(replace_stale(path, address));
  ASSIGN_OR_RETURN(auto socket, make_socket(AF_UNIX));
  // The file gets the mode of the socket's own inode, so there is no moment at which others may
  // connect.
  if (::fchmod(socket.get(), 0600) != 0) return fail_errno("chmod \"{}\"", path);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fail_errno("bind \"{}\"", path);
  Listener listener{std::move(socket), "unix://" + path, false, path};
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0) return fail_errno("stat \"{}\"", path);
  listener.device = status.st_dev;
  listener.inode = status.st_ino;
  bool ready = !gid || ::lchown(path.c_str(), static_cast<uid_t>(-1), *gid) == 0;
  if (!ready && group.empty() && errno == EPERM) ready = true;  // not root: the group stays ours
  if (!ready) return fail_errno("change the group of \"{}\"", path);
  if (::chmod(path.c_str(), 0660) != 0) return fail_errno("chmod \"{}\"", path);
  if (::listen(listener.socket.get(), kBacklog) != 0) return fail_errno("listen on \"{}\"", path);
  return listener;
}

std::string describe_tcp(int socket) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "";
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size);
  ::getnameinfo(reinterpret_cast<sockaddr*>(&storage), size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
  bool v6 = storage.ss_family == AF_INET6;
  return fmt::format("tcp://{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

Result<Listener> open_tcp(const std::string& host) {
  auto colon = host.rfind(':');
  if (colon == std::string::npos || colon + 1 == host.size())
    return fail(Code::kInvalidArgument, "tcp host \"{}\" has no port", host);
  std::string name = host.substr(0, colon);
  std::string port = host.substr(colon + 1);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    name = name.substr(1, name.size() - 2);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  int error = ::getaddrinfo(name.empty() ? nullptr : name.c_str(), port.c_str(), &hints, &found);
  if (error != 0)
    return fail(Code::kInvalidArgument, "tcp host \"{}\": {}", host, ::gai_strerror(error));
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  ASSIGN_OR_RETURN(auto socket, make_socket(found->ai_family));
  int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0)
    return fail_errno("bind tcp \"{}\"", host);
  if (::listen(socket.get(), kBacklog) != 0) return fail_errno("listen on tcp \"{}\"", host);
  std::string address = describe_tcp(socket.get());
  return Listener{std::move(socket), std::move(address), true, {}};
}

int environment_number(const char* name) {
  const char* text = ::getenv(name);
  return text ? std::atoi(text) : 0;
}

Result<Listener> adopt(UniqueFd socket) {
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&storage), &size) != 0)
    return fail_errno("use descriptor {} of the service manager", socket.get());
  ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  bool tcp = storage.ss_family != AF_UNIX;
  std::string address = tcp ? describe_tcp(socket.get()) : "fd://";
  return Listener{std::move(socket), std::move(address), tcp, {}};
}

Result<std::vector<Listener>> open_passed() {
  if (environment_number("LISTEN_PID") != ::getpid() || environment_number("LISTEN_FDS") < 1)
    return fail(Code::kNotFound,
                "no sockets found via socket activation: make sure the service was "
                "started by systemd");
  std::vector<Listener> listeners;
  int count = environment_number("LISTEN_FDS");
  for (int i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(auto listener, adopt(UniqueFd(kFirstPassedFd + i)));
    listeners.push_back(std::move(listener));
  }
  // Children must not take them for theirs.
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  return listeners;
}

}  // namespace

Result<std::vector<Listener>> open_listeners(const std::string& host, const std::string& group) {
  std::vector<Listener> listeners;
  if (host.starts_with("unix://")) {
    ASSIGN_OR_RETURN(auto listener, open_unix(host.substr(7), group));
    listeners.push_back(std::move(listener));
  } else if (host.starts_with("tcp://")) {
    ASSIGN_OR_RETURN(auto listener, open_tcp(host.substr(6)));
    listeners.push_back(std::move(listener));
  } else if (host.starts_with("fd://")) {
    return open_passed();
  } else {
    return fail(Code::kInvalidArgument,
                "host \"{}\" is none of unix:///path, tcp://address:port, fd://", host);
  }
  return listeners;
}

void remove_socket_file(const Listener& listener) {
  struct stat status = {};
  if (listener.path.empty() || ::lstat(listener.path.c_str(), &status) != 0) return;
  if (status.st_dev == listener.device && status.st_ino == listener.inode)
    ::unlink(listener.path.c_str());
}

}  // namespace holdfast::http
