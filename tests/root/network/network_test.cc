// Networks on the real kernel: bridges, cables, packet filter, name server, namespaces.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "base/sha256.h"
#include "network/networks.h"
#include "state/store.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDeadline{10};

std::string run(std::vector<std::string> argv) {
  ProcessOptions options;
  options.argv = std::move(argv);
  const auto output = run_command(std::move(options));
  return output ? output->out : output.error().message;
}

// Runs `body` on a thread inside the namespace and gives back what it returned.
template <typename Body>
auto inside(const std::string& netns, Body body) {
  decltype(body()) result{};
  std::thread([&] {
    const UniqueFd fd(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(fd.get(), CLONE_NEWNET) == 0) result = body();
  }).join();
  return result;
}

sockaddr_in at(const std::string& address, int port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, address.c_str(), &name.sin_addr);
  return name;
}

// Answers every connection in a namespace with one line, until its end of scope.
class Server {
 public:
  Server(const std::string& netns, int port, std::string line) : line_(std::move(line)) {
    socket_ = inside(netns, [&] {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in name = at("0.0.0.0", port);
      if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
          ::listen(fd.get(), 64) != 0)
        fd.reset();
      return fd;
    });
    thread_ = std::thread([this] {
      for (;;) {
        const UniqueFd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer) return;
        (void)::send(peer.get(), line_.data(), line_.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~Server() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  bool listening() const { return socket_.valid(); }

 private:
  std::string line_;
  UniqueFd socket_;
  std::thread thread_;
};

// What a server at the address says; the error's text when it cannot be asked within `limit`.
std::string ask(const std::string& address, int port, int limit_ms = 3000) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{limit_ms / 1000, (limit_ms % 1000) * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const sockaddr_in name = at(address, port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return std::strerror(errno);
  char buffer[256];
  const ssize_t size = ::recv(fd.get(), buffer, sizeof buffer, 0);
  return size < 0 ? std::strerror(errno) : std::string(buffer, static_cast<std::size_t>(size));
}

std::string ask_from(const std::string& netns, const std::string& address, int port,
                     int limit_ms = 3000) {
  return inside(netns, [&] { return ask(address, port, limit_ms); });
}

// The A record of `name` as the server at `server` gives it; empty: none.
std::string resolve(const std::string& server, const std::string& name, int limit_ms = 2000) {
  std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
  query += static_cast<char>(name.size());
  query += name;
  query.append("\x00\x00\x01\x00\x01", 5);
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval limit{limit_ms / 1000, (limit_ms % 1000) * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const sockaddr_in to = at(server, 53);
  ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  ::send(fd.get(), query.data(), query.size(), 0);
  unsigned char reply[512];
  const ssize_t size = ::recv(fd.get(), reply, sizeof reply, 0);
  if (size < 16 || reply[7] == 0) return "";
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, reply + size - 4, text, sizeof text);
  return text;
}

// The host's address on the way out, for reaching published ports as others do.
std::string host_address() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in far = at("203.0.113.1", 9);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&far), sizeof far) != 0) return "";
  sockaddr_in name{};
  socklen_t size = sizeof name;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size);
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &name.sin_addr, text, sizeof text);
  return text;
}

Endpoint on(std::string network) {
  Endpoint endpoint;
  endpoint.network = std::move(network);
  return endpoint;
}

PortRequest publish(std::uint16_t inside_port, std::uint16_t host_port, std::string host_ip = "") {
  return {{inside_port, Protocol::kTcp}, std::move(host_ip), host_port, host_port};
}

// One daemon's networks in a directory of their own, on bridge hfnet<n> and 10.213.<n>.0/24. At the
// end all that it put on the host is taken away, chains included.
class Daemon {
 public:
  explicit Daemon(int number) : number_(number) {
    root_ = std::filesystem::temp_directory_path() / ("hfnet-" + random_hex(8));
    std::filesystem::create_directories(root_);
    open();
  }
  ~Daemon() {
    for (char digit = 'a'; digit <= 'z'; ++digit) (void)networks_->tear_down(id(digit));
    for (const auto& name : created_) (void)networks_->remove(name);
    const auto withdrawn = networks_->withdraw();
    EXPECT_TRUE(withdrawn) << withdrawn.error().message;
    networks_.reset();
    EXPECT_THAT(run({"iptables-save"}), Not(HasSubstr(tag())));
    EXPECT_THAT(run({"ip6tables-save"}), Not(HasSubstr(tag())));
    EXPECT_FALSE(file_exists("/sys/class/net/" + bridge()));
    std::filesystem::remove_all(root_);
  }

  void open() {
    networks_.reset();
    store_.reset();
    auto store = Store::open(root_ / "state.db");
    CHECK(store.has_value());
    store_ = *std::move(store);
    NetworksOptions options;
    options.exec_root = root_ / "run";
    options.bridge = bridge();
    options.bip = fmt::format("10.213.{}.1/24", number_);
    auto networks = Networks::open(options, *store_);
    if (!networks) ADD_FAILURE() << networks.error().message;
    CHECK(networks.has_value());
    networks_ = *std::move(networks);
  }
  Networks& operator*() { return *networks_; }
  Networks* operator->() { return networks_.get(); }

  static ContainerId id(char digit) { return ContainerId(std::string(64, digit)); }
  std::string bridge() const { return fmt::format("hfnet{}", number_); }
  std::filesystem::path root() const { return root_; }

  void create(const std::string& name, const std::string& subnet, bool internal = false) {
    NetworkSpec spec;
    spec.name = name;
    spec.internal = internal;
    spec.ipam = {{subnet, {}, {}, {}}};
    const auto created = networks_->create(spec);
    ASSERT_TRUE(created) << created.error().message;
    created_.push_back(name);
  }
  // The whole way to a running container; the path of its namespace.
  std::string start(char digit, std::vector<Endpoint> endpoints,
                    std::vector<PortRequest> ports = {}) {
    auto netns = networks_->create_netns(id(digit));
    EXPECT_TRUE(netns) << netns.error().message;
    const auto attached = networks_->reserve({id(digit),
                                              std::string("c") + digit,
                                              std::string("h") + digit,
                                              std::move(endpoints),
                                              std::move(ports),
                                              {}});
    EXPECT_TRUE(attached) << attached.error().message;
    const auto status = networks_->set_up(id(digit), *netns);
    EXPECT_TRUE(status) << status.error().message;
    return *netns;
  }
  std::string ip(char digit, std::size_t endpoint = 0) {
    return networks_->attachment(id(digit))->endpoints.at(endpoint).ipv4;
  }

 private:
  std::string tag() const { return "HF-" + sha256_hex((root_ / "run").string()).substr(0, 8); }

  int number_;
  std::filesystem::path root_;
  std::vector<std::string> created_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Networks> networks_;
};

class ROOT_Network : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

TEST_F(ROOT_Network, containers_of_one_network_reach_each_other_and_the_host) {
  Daemon daemon(101);
  const std::string a = daemon.start('a', {on("bridge")});
  const std::string b = daemon.start('b', {on("bridge")});
  Server server(b, 80, "from b");
  ASSERT_TRUE(server.listening());
  EXPECT_EQ(ask_from(a, daemon.ip('b'), 80), "from b");
  EXPECT_EQ(ask(daemon.ip('b'), 80), "from b");
  EXPECT_THAT(run({"ip", "netns", "exec", a, "true"}), IsEmpty());
  EXPECT_THAT(run({"nsenter", "--net=" + a, "ip", "route"}), HasSubstr("default via 10.213.101.1"));
  EXPECT_THAT(run({"nsenter", "--net=" + a, "ip", "-o", "link", "show", "lo"}),
              HasSubstr("LOOPBACK,UP"));
}

TEST_F(ROOT_Network, networks_are_kept_apart) {
  Daemon daemon(102);
  daemon.create("other", "172.30.202.0/24");
  daemon.create("inner", "172.30.203.0/24", true);
  const std::string a = daemon.start('a', {on("bridge")});
  const std::string b = daemon.start('b', {on("other")});
  const std::string c = daemon.start('c', {on("inner")});
  Server on_b(b, 80, "from b"), on_c(c, 80, "from c");
  EXPECT_NE(ask_from(a, daemon.ip('b'), 80, 500), "from b");
  EXPECT_NE(ask_from(a, daemon.ip('c'), 80, 500), "from c");
  EXPECT_EQ(ask(daemon.ip('b'), 80), "from b");
  EXPECT_THAT(run({"nsenter", "--net=" + c, "ip", "route"}), Not(HasSubstr("default")));
}

TEST_F(ROOT_Network, a_published_port_is_reached_from_everywhere) {
  Daemon daemon(103);
  daemon.create("other", "172.30.204.0/24");
  const std::string a = daemon.start('a', {on("bridge")}, {publish(80, 18103)});
  const std::string b = daemon.start('b', {on("bridge")});
  const std::string c = daemon.start('c', {on("other")});
  Server server(a, 80, "from a");
  EXPECT_EQ(ask("127.0.0.1", 18103), "from a");
  EXPECT_EQ(ask(host_address(), 18103), "from a");
  EXPECT_EQ(ask("10.213.103.1", 18103), "from a");
  EXPECT_EQ(ask_from(b, host_address(), 18103), "from a");
  EXPECT_EQ(ask_from(c, host_address(), 18103), "from a");
  EXPECT_EQ(ask_from(a, host_address(), 18103), "from a");
}

TEST_F(ROOT_Network, a_port_published_on_loopback_is_reached_there_only) {
  Daemon daemon(104);
  const std::string a = daemon.start('a', {on("bridge")}, {publish(80, 18104, "127.0.0.1")});
  const std::string b = daemon.start('b', {on("bridge")});
  Server server(a, 80, "from a");
  EXPECT_EQ(ask("127.0.0.1", 18104), "from a");
  EXPECT_EQ(ask(host_address(), 18104), "Connection refused");
  EXPECT_EQ(ask_from(b, host_address(), 18104), "Connection refused");
}

TEST_F(ROOT_Network, a_published_port_is_the_containers_own) {
  Daemon daemon(105);
  daemon.start('a', {on("bridge")}, {publish(80, 18105)});
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in name = at("0.0.0.0", 18105);
  EXPECT_NE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  EXPECT_EQ(errno, EADDRINUSE);

  daemon->leave(Daemon::id('a'));
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  ASSERT_EQ(::listen(fd.get(), 1), 0);
  const auto refused =
      daemon->reserve({Daemon::id('b'), "cb", "hb", {on("bridge")}, {publish(80, 18105)}, {}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("failed to bind host port for 0.0.0.0:18105:10.213.105.3:80/tcp: address "
                        "already in use"));
}

TEST_F(ROOT_Network, a_port_moves_to_the_next_container_at_once) {
  Daemon daemon(106);
  const std::string a = daemon.start('a', {on("bridge")}, {publish(80, 18106)});
  Server on_a(a, 80, "from a");
  EXPECT_EQ(ask("127.0.0.1", 18106), "from a");
  daemon->leave(Daemon::id('a'));
  const std::string b = daemon.start('b', {on("bridge")}, {publish(80, 18106)});
  Server on_b(b, 80, "from b");
  EXPECT_EQ(ask("127.0.0.1", 18106), "from b");
  ASSERT_TRUE(daemon->tear_down(Daemon::id('a')));
  EXPECT_EQ(ask("127.0.0.1", 18106), "from b");
}

TEST_F(ROOT_Network, containers_resolve_each_others_names) {
  Daemon daemon(107);
  daemon.create("names", "172.30.207.0/24");
  Endpoint aliased = on("names");
  aliased.aliases = {"db"};
  const std::string a = daemon.start('a', {on("names")});
  const std::string b = daemon.start('b', {aliased});
  // The server reads its files a moment after it is told to, and passes on what it doesn't know
  // until then.
  const auto from_a = [&](const std::string& name) {
    std::string address;
    const auto deadline = Clock::now() + kDeadline;
    while (address.empty() && Clock::now() < deadline)
      address = inside(a, [&] { return resolve("172.30.207.1", name, 100); });
    return address;
  };
  for (const std::string name : {"cb", "db", "hb", "bbbbbbbbbbbb"})
    EXPECT_EQ(from_a(name), daemon.ip('b')) << name;
  EXPECT_EQ(from_a("ca"), daemon.ip('a'));
  EXPECT_EQ(daemon->resolv_conf({}, daemon->attachment(Daemon::id('a'))->endpoints).substr(0, 23),
            "nameserver 172.30.207.1");
  ASSERT_TRUE(daemon->rename(Daemon::id('b'), "renamed"));
  EXPECT_EQ(from_a("renamed"), daemon.ip('b'));
}

TEST_F(ROOT_Network, the_name_server_ends_with_the_last_name_and_comes_back) {
  Daemon daemon(108);
  daemon.create("names", "172.30.208.0/24");
  const std::string pid_file = daemon.root() / "run/network/names/aardvark.pid";
  for (int round = 0; round < 3; ++round) {
    const std::string a = daemon.start('a', {on("names")});
    EXPECT_EQ(inside(a, [&] { return resolve("172.30.208.1", "ca"); }), daemon.ip('a'));
    ASSERT_TRUE(daemon->tear_down(Daemon::id('a')));
    EXPECT_FALSE(file_exists(pid_file));
  }
}

TEST_F(ROOT_Network, connects_and_disconnects_while_running) {
  Daemon daemon(109);
  daemon.create("second", "172.30.209.0/24");
  const std::string a = daemon.start('a', {on("bridge")}, {publish(80, 18109)});
  const std::string b = daemon.start('b', {on("second")});
  Server on_a(a, 80, "from a");
  ASSERT_TRUE(daemon->connect(Daemon::id('a'), on("second")));
  EXPECT_EQ(ask_from(b, daemon.ip('a', 1), 80), "from a");
  EXPECT_EQ(ask("127.0.0.1", 18109), "from a");
  ASSERT_TRUE(daemon->disconnect(Daemon::id('a'), "bridge"));
  EXPECT_THAT(run({"nsenter", "--net=" + a, "ip", "route"}), HasSubstr("default via 172.30.209.1"));
  EXPECT_THAT(run({"nsenter", "--net=" + a, "ip", "-br", "link"}), Not(HasSubstr("eth0")));
  EXPECT_EQ(ask("127.0.0.1", 18109), "from a");
}

TEST_F(ROOT_Network, twenty_at_once_come_and_go_without_a_trace) {
  Daemon daemon(110);
  daemon.create("busy", "172.30.210.0/24");
  const auto all = [&](auto body) {
    std::vector<std::thread> threads;
    for (char digit = 'a'; digit < 'a' + 20; ++digit)
      threads.emplace_back([&, digit] { body(digit); });
    for (std::thread& thread : threads) thread.join();
  };
  all([&](char digit) {
    const auto port = static_cast<std::uint16_t>(18200 + digit);
    daemon.start(digit, {on("busy"), on("bridge")}, {publish(80, port)});
  });
  std::set<std::string> addresses;
  std::vector<std::string> cables;
  for (char digit = 'a'; digit < 'a' + 20; ++digit) {
    Server server(daemon->netns_path(Daemon::id(digit)), 80, std::string(1, digit));
    EXPECT_EQ(ask("127.0.0.1", 18200 + digit), std::string(1, digit));
    addresses.insert(daemon.ip(digit));
    const Attachment attachment = *daemon->attachment(Daemon::id(digit));
    for (const Endpoint& endpoint : attachment.endpoints)
      cables.push_back("/sys/class/net/veth" + endpoint.endpoint_id.substr(0, 7));
  }
  EXPECT_EQ(addresses.size(), 20u);
  for (const std::string& cable : cables) EXPECT_TRUE(file_exists(cable)) << cable;
  all([&](char digit) { EXPECT_TRUE(daemon->tear_down(Daemon::id(digit))); });
  for (const std::string& cable : cables) EXPECT_FALSE(file_exists(cable)) << cable;
  EXPECT_TRUE(std::filesystem::is_empty(daemon.root() / "run/netns"));
  EXPECT_TRUE(std::filesystem::is_empty(daemon.root() / "run/network/attachments"));
  EXPECT_THAT(run({"iptables-save", "-t", "nat"}), Not(HasSubstr("--dport 182")));
}

TEST_F(ROOT_Network, two_daemons_do_not_disturb_each_other) {
  Daemon one(111), two(112);
  one.create("same", "172.30.211.0/24");
  two.create("same", "172.30.212.0/24");
  const std::string a = one.start('a', {on("same"), on("bridge")}, {publish(80, 18111)});
  const std::string b = two.start('a', {on("same"), on("bridge")}, {publish(80, 18112)});
  Server on_a(a, 80, "one"), on_b(b, 80, "two");
  EXPECT_EQ(ask("127.0.0.1", 18111), "one");
  EXPECT_EQ(ask("127.0.0.1", 18112), "two");
  EXPECT_EQ(inside(b, [&] { return resolve("172.30.212.1", "ca"); }), two.ip('a'));
  ASSERT_TRUE(one->tear_down(Daemon::id('a')));
  EXPECT_EQ(ask("127.0.0.1", 18112), "two");
  EXPECT_EQ(inside(b, [&] { return resolve("172.30.212.1", "ca"); }), two.ip('a'));
  EXPECT_FALSE(
      two->reserve({Daemon::id('b'), "cb", "hb", {on("bridge")}, {publish(80, 18112)}, {}}));
}

TEST_F(ROOT_Network, a_new_daemon_takes_over_what_a_killed_one_left) {
  Daemon daemon(113);
  daemon.create("names", "172.30.213.0/24");
  const std::string a = daemon.start('a', {on("names")}, {publish(80, 18113)});
  const std::string dead = daemon.start('b', {on("names")}, {publish(80, 18114)});
  Server server(a, 80, "alive");
  // A killed daemon's sockets close and nothing else happens: as the destructor leaves it.
  daemon.open();
  EXPECT_EQ(ask("127.0.0.1", 18113), "alive");
  ASSERT_TRUE(daemon->restore({Daemon::id('a')}));
  ASSERT_TRUE(daemon->sweep());
  EXPECT_EQ(ask("127.0.0.1", 18113), "alive");
  EXPECT_FALSE(file_exists(dead));
  EXPECT_TRUE(file_exists(a));
  EXPECT_THAT(run({"iptables-save", "-t", "nat"}), Not(HasSubstr("--dport 18114")));
  EXPECT_FALSE(
      daemon->reserve({Daemon::id('c'), "cc", "hc", {on("names")}, {publish(80, 18113)}, {}}));
  const std::string c = daemon.start('c', {on("names")}, {publish(80, 18114)});
  EXPECT_EQ(ask_from(c, daemon.ip('a'), 80), "alive");
}

TEST_F(ROOT_Network, withdraws_only_when_nobody_is_attached_and_comes_back) {
  Daemon daemon(115);
  const std::string a = daemon.start('a', {on("bridge")}, {publish(80, 18115)});
  Server on_a(a, 80, "first");
  ASSERT_TRUE(daemon->withdraw());
  EXPECT_EQ(ask("127.0.0.1", 18115), "first");
  ASSERT_TRUE(daemon->tear_down(Daemon::id('a')));
  ASSERT_TRUE(daemon->withdraw());
  EXPECT_FALSE(file_exists("/sys/class/net/" + daemon.bridge()));
  const std::string b = daemon.start('b', {on("bridge")}, {publish(80, 18115)});
  Server on_b(b, 80, "second");
  EXPECT_EQ(ask("127.0.0.1", 18115), "second");
}

TEST_F(ROOT_Network, ipv6_networks_carry_ipv6) {
  Daemon daemon(116);
  NetworkSpec spec;
  spec.name = "six";
  spec.ipv6 = true;
  spec.ipam = {{"172.30.216.0/24", {}, {}, {}}, {"fd00:213:116::/64", {}, {}, {}}};
  const auto created = daemon->create(spec);
  ASSERT_TRUE(created) << created.error().message;
  const std::string a = daemon.start('a', {on("six")});
  daemon.start('b', {on("six")});
  EXPECT_EQ(daemon->attachment(Daemon::id('b'))->endpoints[0].ipv6, "fd00:213:116::3");
  EXPECT_THAT(run({"nsenter", "--net=" + a, "ip", "-6", "route"}),
              HasSubstr("default via fd00:213:116::1"));
  // Refused is an answer.
  EXPECT_EQ(inside(a,
                   [] {
                     const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
                     const timeval limit{3, 0};
                     ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
                     sockaddr_in6 name{};
                     name.sin6_family = AF_INET6;
                     name.sin6_port = htons(80);
                     inet_pton(AF_INET6, "fd00:213:116::3", &name.sin6_addr);
                     ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
                     return errno;
                   }),
            ECONNREFUSED);
  ASSERT_TRUE(daemon->tear_down(Daemon::id('a')));
  ASSERT_TRUE(daemon->tear_down(Daemon::id('b')));
  ASSERT_TRUE(daemon->remove("six"));
}

TEST_F(ROOT_Network, set_up_of_a_plain_container_is_quick) {
  Daemon daemon(114);
  daemon.start('a', {on("bridge")});  // brings the bridge up
  const auto start = Clock::now();
  daemon.start('b', {on("bridge")});
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  RecordProperty("milliseconds", static_cast<int>(took.count()));
  EXPECT_LT(took.count(), 60);
}

}  // namespace
}  // namespace holdfast
