#include "network/networks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/random.h"
#include "network/host_network.h"
#include "state/store.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A host that only remembers what it was told.
struct HostState {
  std::vector<Subnet> in_use;
  std::set<std::string> interfaces;
  std::set<std::string> namespaces;
  std::set<std::pair<std::string, std::uint16_t>> busy_ports;
  std::vector<CablePlan> cables;
  std::string rules;
  int rule_changes = 0;
  std::vector<std::string> default_routes;
  std::vector<IpAddress> name_servers;
  std::string fail_plug;
};

class FakeHost final : public HostNetwork {
 public:
  explicit FakeHost(HostState& state) : state_(state) {}
  std::vector<Subnet> subnets_in_use() override { return state_.in_use; }
  bool has_interface(const std::string& name) override { return state_.interfaces.contains(name); }
  Status ensure_bridge(const BridgePlan& plan) override {
    state_.interfaces.insert(plan.name);
    return {};
  }
  Status remove_interface(const std::string& name) override {
    state_.interfaces.erase(name);
    return {};
  }
  Status plug(const CablePlan& plan) override {
    if (!state_.fail_plug.empty()) return fail(Code::kInternal, "{}", state_.fail_plug);
    state_.interfaces.insert(plan.host_name);
    state_.cables.push_back(plan);
    return {};
  }
  Status add_default_route(const std::string&, const std::string& interface,
                           const IpAddress& gateway) override {
    state_.default_routes.push_back(interface + " " + gateway.str());
    return {};
  }
  Status create_netns(const std::string& path, BorrowedFd) override {
    state_.namespaces.insert(path);
    return {};
  }
  Status remove_netns(const std::string& path) override {
    state_.namespaces.erase(path);
    return {};
  }
  Status apply_rules(bool v6, const std::string& text) override {
    if (!v6) state_.rules = text;
    ++state_.rule_changes;
    return {};
  }
  Status ensure_jump(bool, const std::string&, const std::string&,
                     const std::vector<std::string>&) override {
    return {};
  }
  Result<UniqueFd> hold_port(Protocol, const IpAddress& address, std::uint16_t port) override {
    if (state_.busy_ports.contains({address.str(), port}))
      return tl::unexpected(system_error(EADDRINUSE, "bind"));
    return UniqueFd();
  }
  Status reload_names(const std::string&, const std::vector<IpAddress>& addresses) override {
    state_.name_servers = addresses;
    return {};
  }
  std::string resolv_conf() override { return "nameserver 10.9.9.9\n"; }

 private:
  HostState& state_;
};

ContainerId container(char digit) { return ContainerId(std::string(64, digit)); }

Endpoint on(std::string network) {
  Endpoint endpoint;
  endpoint.network = std::move(network);
  return endpoint;
}

PortRequest port(std::uint16_t inside, std::uint16_t first, std::uint16_t last = 0,
                 std::string host_ip = "") {
  return {{inside, Protocol::kTcp}, std::move(host_ip), first, last == 0 ? first : last};
}

class NetworksTest : public ::testing::Test {
 protected:
  NetworksTest() : root_(std::filesystem::temp_directory_path() / ("networks-" + random_hex(8))) {
    std::filesystem::create_directories(root_);
    options_.exec_root = root_ / "run";
    options_.bridge = "hfnetu0";
    options_.bip = "10.213.0.1/24";
    options_.aardvark = "/bin/true";  // there, so names are on
    reopen();
  }
  ~NetworksTest() override { std::filesystem::remove_all(root_); }

  void reopen() {
    networks_.reset();
    store_.reset();
    auto store = Store::open(root_ / "state.db");
    CHECK(store.has_value());
    store_ = *std::move(store);
    auto networks = Networks::open_on(std::make_unique<FakeHost>(host_), options_, *store_);
    ASSERT_TRUE(networks) << networks.error().message;
    networks_ = *std::move(networks);
  }
  Result<Networks::Created> create(const std::string& body) {
    auto spec = NetworkSpec::from_json(*json::parse_object(body));
    if (!spec) return tl::unexpected(spec.error());
    return networks_->create(*spec);
  }
  std::string refusal(const std::string& body) {
    auto created = create(body);
    return created ? "created" : created.error().message;
  }
  Result<Attachment> reserve(char digit, std::vector<Endpoint> endpoints,
                             std::vector<PortRequest> ports = {}) {
    return networks_->reserve({container(digit),
                               std::string("c") + digit,
                               std::string("host") + digit,
                               std::move(endpoints),
                               std::move(ports),
                               {}});
  }
  std::string config(const std::string& network) {
    return json::serialize((*networks_->inspect(network)).at("IPAM").at("Config"));
  }

  std::filesystem::path root_;
  HostState host_;
  NetworksOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Networks> networks_;
};

TEST_F(NetworksTest, has_the_predefined_networks_and_keeps_their_ids) {
  std::map<std::string, std::string> ids;
  for (const char* name : {"bridge", "host", "none"}) ids[name] = networks_->find(name)->str();
  reopen();
  for (const auto& [name, id] : ids) EXPECT_EQ(networks_->find(name)->str(), id);
  EXPECT_EQ(config("bridge"), R"([{"Subnet":"10.213.0.0/24","Gateway":"10.213.0.1"}])");
  EXPECT_EQ(networks_->list({})->size(), 3u);
}

TEST_F(NetworksTest, follows_changed_bridge_flags) {
  const NetworkId before = *networks_->find("bridge");
  options_.bip = "10.213.9.1/24";
  reopen();
  EXPECT_EQ(*networks_->find("bridge"), before);
  EXPECT_EQ(config("bridge"), R"([{"Subnet":"10.213.9.0/24","Gateway":"10.213.9.1"}])");
  options_.bridge = "none";
  reopen();
  EXPECT_EQ(networks_->find("bridge").error().code, Code::kNotFound);
}

TEST_F(NetworksTest, inspect_has_the_shape_clients_read) {
  const auto created = create(R"({"Name":"n","Labels":{"a":"b"},"Options":{"x":"y"},"Internal":true,
      "IPAM":{"Config":[{"Subnet":"10.213.7.0/24","IPRange":"10.213.7.128/25"}]}})");
  ASSERT_TRUE(created) << created.error().message;
  auto attached = reserve('a', {on("n")});
  ASSERT_TRUE(attached) << attached.error().message;
  json::Object object = *networks_->inspect("n");
  object.stable_erase(object.find("Created"));
  EXPECT_EQ(json::serialize(object),
            R"({"Name":"n","Id":")" + created->id.str() +
                R"(","Scope":"local","Driver":"bridge","EnableIPv4":true,"EnableIPv6":false,)"
                R"("IPAM":{"Driver":"default","Options":null,"Config":[{"Subnet":"10.213.7.0/24",)"
                R"("IPRange":"10.213.7.128/25","Gateway":"10.213.7.128"}]},"Internal":true,)"
                R"("Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},)"
                R"("ConfigOnly":false,"Containers":{")" +
                container('a').str() + R"(":{"Name":"ca","EndpointID":")" +
                attached->endpoints[0].endpoint_id +
                R"(","MacAddress":"02:42:0a:d5:07:81","IPv4Address":"10.213.7.129/24",)"
                R"("IPv6Address":""}},"Options":{"x":"y"},"Labels":{"a":"b"}})");
}

TEST_F(NetworksTest, chooses_subnets_the_host_does_not_use) {
  host_.in_use = {*Subnet::parse("172.17.0.0/16"), *Subnet::parse("172.18.5.0/24")};
  ASSERT_TRUE(create(R"({"Name":"n1"})"));
  ASSERT_TRUE(create(R"({"Name":"n2"})"));
  EXPECT_THAT(config("n1"), HasSubstr("172.19.0.0/16"));
  EXPECT_THAT(config("n2"), HasSubstr("172.20.0.0/16"));
}

TEST_F(NetworksTest, refuses_bad_definitions_with_dockers_words) {
  ASSERT_TRUE(create(R"({"Name":"n","IPAM":{"Config":[{"Subnet":"10.213.8.0/24"}]}})"));
  EXPECT_EQ(refusal(R"({"Name":"n"})"), "network with name n already exists");
  EXPECT_EQ(refusal(R"({"Name":"host"})"), "operation is not permitted on predefined host network");
  EXPECT_EQ(refusal(R"({"Name":"x","Driver":"macvlan"})"), "plugin \"macvlan\" not found");
  EXPECT_EQ(refusal(R"({"Name":"x","IPAM":{"Config":[{"Subnet":"10.213.8.128/25"}]}})"),
            "invalid pool request: Pool overlaps with other one on this address space");
  EXPECT_EQ(refusal(R"({"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.5/24"}]}})"),
            "invalid network config:\ninvalid subnet 10.0.0.5/24: it should be 10.0.0.0/24");
  EXPECT_EQ(refusal(R"({"Name":"x","IPAM":{"Config":[{"Subnet":"banana"}]}})"),
            "invalid network config:\ninvalid subnet banana: invalid CIDR block notation");
  EXPECT_THAT(
      refusal(R"({"Name":"x","IPAM":{"Config":[{"Subnet":"10.0.0.0/24","Gateway":"10.1.0.1"}]}})"),
      HasSubstr("invalid gateway 10.1.0.1: parent subnet 10.0.0.0/24 doesn't contain"));
  EXPECT_THAT(refusal(R"({"Name":"x","Options":{"com.docker.network.bridge.name":"a/b"}})"),
              HasSubstr("invalid bridge name"));
  EXPECT_EQ(networks_->list({})->size(), 4u);
}

TEST_F(NetworksTest, a_removed_network_frees_its_name_subnet_and_bridge) {
  const std::string body = R"({"Name":"n","IPAM":{"Config":[{"Subnet":"10.213.8.0/24"}]}})";
  ASSERT_TRUE(create(body));
  EXPECT_EQ(host_.interfaces.size(), 1u);
  ASSERT_TRUE(networks_->remove("n"));
  EXPECT_THAT(host_.interfaces, IsEmpty());
  EXPECT_EQ(networks_->remove("n").error().message, "network n not found");
  EXPECT_TRUE(create(body));
}

TEST_F(NetworksTest, will_not_remove_what_is_in_use_or_predefined) {
  const auto created = create(R"({"Name":"n"})");
  const auto attached = reserve('a', {on("n")});
  EXPECT_EQ(networks_->remove("n").error().message,
            "error while removing network: network n id " + created->id.str() +
                " has active endpoints (name:\"ca\" id:\"" +
                attached->endpoints[0].endpoint_id.substr(0, 12) + "\")");
  EXPECT_EQ(networks_->remove("bridge").error().message,
            "bridge is a pre-defined network and cannot be removed");
  networks_->leave(container('a'));
  EXPECT_TRUE(networks_->remove("n"));
  EXPECT_TRUE(networks_->tear_down(container('a')));
}

TEST_F(NetworksTest, finds_by_id_name_and_prefix) {
  const auto created = create(R"({"Name":"n"})");
  EXPECT_EQ(*networks_->find("n"), created->id);
  EXPECT_EQ(*networks_->find(created->id.str()), created->id);
  EXPECT_EQ(*networks_->find(created->id.str().substr(0, 20)), created->id);
  EXPECT_EQ(networks_->find("").error().code, Code::kNotFound);
  EXPECT_EQ(networks_->find("zz").error().message, "network zz not found");
}

TEST_F(NetworksTest, lists_by_filter) {
  ASSERT_TRUE(create(R"({"Name":"one","Labels":{"tier":"db"}})"));
  ASSERT_TRUE(create(R"({"Name":"two"})"));
  ASSERT_TRUE(reserve('a', {on("two")}));
  const auto names = [&](std::map<std::string, std::vector<std::string>> filters) {
    std::set<std::string> found;
    const json::Array listed = *networks_->list(filters);
    for (const auto& one : listed) found.insert(one.at("Name").as_string().c_str());
    return found;
  };
  using Names = std::set<std::string>;
  EXPECT_EQ(names({{"type", {"custom"}}}), (Names{"one", "two"}));
  EXPECT_EQ(names({{"label", {"tier=db"}}}), (Names{"one"}));
  EXPECT_EQ(names({{"label", {"tier"}}, {"name", {"tw"}}}), (Names{}));
  EXPECT_EQ(names({{"dangling", {"true"}}}), (Names{"one"}));
  EXPECT_EQ(names({{"driver", {"null", "host"}}}), (Names{"none", "host"}));
  EXPECT_EQ(networks_->list({{"color", {"red"}}}).error().message, "invalid filter 'color'");
  EXPECT_EQ(networks_->list({{"type", {"odd"}}}).error().code, Code::kInvalidArgument);
}

TEST_F(NetworksTest, prunes_unused_networks_only) {
  ASSERT_TRUE(create(R"({"Name":"idle"})"));
  const auto kept = create(R"({"Name":"kept"})");
  ASSERT_TRUE(create(R"({"Name":"busy"})"));
  ASSERT_TRUE(reserve('a', {on("busy")}));
  const auto removed = networks_->prune({}, {kept->id});
  ASSERT_TRUE(removed);
  ASSERT_EQ(removed->size(), 1u);
  EXPECT_EQ(removed->front().name, "idle");
}

TEST_F(NetworksTest, gives_the_lowest_free_address_and_takes_it_back_at_tear_down) {
  EXPECT_EQ(reserve('a', {on("bridge")})->endpoints[0].ipv4, "10.213.0.2");
  EXPECT_EQ(reserve('b', {on("bridge")})->endpoints[0].ipv4, "10.213.0.3");
  networks_->leave(container('a'));
  EXPECT_EQ(reserve('c', {on("bridge")})->endpoints[0].ipv4, "10.213.0.4");
  ASSERT_TRUE(networks_->tear_down(container('a')));
  EXPECT_EQ(reserve('d', {on("bridge")})->endpoints[0].ipv4, "10.213.0.2");
}

TEST_F(NetworksTest, sets_a_container_up_on_all_its_networks) {
  ASSERT_TRUE(create(R"({"Name":"inner","Internal":true})"));
  ASSERT_TRUE(create(R"({"Name":"outer"})"));
  Endpoint inner = on("inner");
  inner.aliases = {"db"};
  ASSERT_TRUE(reserve('a', {inner, on("outer")}, {port(80, 8080)}));
  ASSERT_TRUE(networks_->set_up(container('a'), *networks_->create_netns(container('a'))));
  ASSERT_EQ(host_.cables.size(), 2u);
  EXPECT_EQ(host_.cables[0].name, "eth0");
  EXPECT_THAT(host_.cables[0].default_routes, IsEmpty());
  EXPECT_EQ(host_.cables[1].name, "eth1");
  EXPECT_EQ(host_.cables[1].default_routes.size(), 1u);
  EXPECT_EQ(host_.name_servers.size(), 2u);
  const Attachment attachment = *networks_->attachment(container('a'));
  EXPECT_THAT(attachment.endpoints[0].dns_names,
              ElementsAre("ca", "db", std::string(12, 'a'), "hosta"));
  EXPECT_THAT(host_.rules, HasSubstr("-p tcp --dport 8080 -j DNAT --to-destination " +
                                     attachment.endpoints[1].ipv4 + ":80"));
}

TEST_F(NetworksTest, leaves_nothing_behind) {
  ASSERT_TRUE(create(R"({"Name":"n"})"));
  const auto interfaces = host_.interfaces;
  ASSERT_TRUE(reserve('a', {on("n"), on("bridge")}, {port(80, 8080)}));
  ASSERT_TRUE(networks_->set_up(container('a'), *networks_->create_netns(container('a'))));
  ASSERT_TRUE(networks_->tear_down(container('a')));
  EXPECT_THAT(host_.rules, Not(HasSubstr("8080")));
  EXPECT_THAT(host_.namespaces, IsEmpty());
  EXPECT_THAT(host_.name_servers, IsEmpty());
  auto expected = interfaces;
  expected.insert("hfnetu0");
  EXPECT_EQ(host_.interfaces, expected);
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "run/network/attachments"));
  EXPECT_TRUE(networks_->tear_down(container('a')));
}

TEST_F(NetworksTest, a_failed_set_up_can_be_torn_down) {
  ASSERT_TRUE(reserve('a', {on("bridge")}));
  host_.fail_plug = "no cable";
  EXPECT_EQ(
      networks_->set_up(container('a'), *networks_->create_netns(container('a'))).error().message,
      "no cable");
  EXPECT_TRUE(networks_->tear_down(container('a')));
  EXPECT_THAT(host_.namespaces, IsEmpty());
  EXPECT_EQ(reserve('b', {on("bridge")})->endpoints[0].ipv4, "10.213.0.2");
}

TEST_F(NetworksTest, host_and_none_are_listed_without_an_address) {
  const auto attached = reserve('a', {on("none")}, {port(80, 8080)});
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_EQ(attached->endpoints[0].ipv4, "");
  EXPECT_THAT(attached->ports, IsEmpty());
  EXPECT_TRUE(networks_->set_up(container('a'), *networks_->create_netns(container('a'))));
  EXPECT_THAT(host_.cables, IsEmpty());
  EXPECT_TRUE(
      networks_->inspect("none")->at("Containers").as_object().contains(container('a').str()));
}

TEST_F(NetworksTest, a_taken_port_is_refused_with_dockers_words_and_nothing_is_held) {
  ASSERT_TRUE(reserve('a', {on("bridge")}, {port(80, 8080)}));
  const auto refused = reserve('b', {on("bridge")}, {port(80, 8080)});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("driver failed programming external connectivity on endpoint cb ("));
  EXPECT_THAT(refused.error().message,
              HasSubstr("): Bind for 0.0.0.0:8080 failed: port is already allocated"));
  EXPECT_EQ(reserve('c', {on("bridge")})->endpoints[0].ipv4, "10.213.0.3");
  networks_->leave(container('a'));
  EXPECT_TRUE(reserve('b', {on("bridge")}, {port(80, 8080)}));
}

TEST_F(NetworksTest, a_port_of_the_hosts_own_is_refused_with_dockers_words) {
  host_.busy_ports = {{"0.0.0.0", 8080}};
  const auto refused = reserve('a', {on("bridge")}, {port(80, 8080)});
  ASSERT_FALSE(refused);
  EXPECT_THAT(
      refused.error().message,
      HasSubstr("failed to bind host port for 0.0.0.0:8080:10.213.0.2:80/tcp: address already "
                "in use"));
}

TEST_F(NetworksTest, free_and_ranged_ports_pass_over_what_is_taken) {
  host_.busy_ports = {{"0.0.0.0", 8000}};
  EXPECT_EQ(reserve('a', {on("bridge")}, {port(80, 8000, 8002)})->ports[0].host_port, 8001);
  EXPECT_EQ(reserve('b', {on("bridge")}, {port(80, 8000, 8002)})->ports[0].host_port, 8002);
  EXPECT_THAT(reserve('c', {on("bridge")}, {port(80, 8000, 8002)}).error().message,
              HasSubstr("all ports are allocated"));
  const auto first = reserve('d', {on("bridge")}, {port(80, 0)});
  const auto second = reserve('e', {on("bridge")}, {port(80, 0)});
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->ports[0].host_port, second->ports[0].host_port);
  EXPECT_GE(first->ports[0].host_port, 1024);
}

TEST_F(NetworksTest, the_same_port_on_different_addresses_is_no_conflict) {
  EXPECT_TRUE(reserve('a', {on("bridge")}, {port(80, 8080, 0, "127.0.0.1")}));
  EXPECT_TRUE(reserve('b', {on("bridge")}, {port(80, 8080, 0, "127.0.0.2")}));
  EXPECT_FALSE(reserve('c', {on("bridge")}, {port(80, 8080)}));
}

TEST_F(NetworksTest, fixed_addresses_are_checked) {
  ASSERT_TRUE(create(R"({"Name":"fixed","IPAM":{"Config":[{"Subnet":"10.213.8.0/24"}]}})"));
  ASSERT_TRUE(create(R"({"Name":"auto"})"));
  const auto at = [&](std::string network, std::string address) {
    Endpoint endpoint = on(std::move(network));
    endpoint.requested_ipv4 = std::move(address);
    return endpoint;
  };
  EXPECT_EQ(reserve('a', {at("fixed", "10.213.8.50")})->endpoints[0].ipv4, "10.213.8.50");
  EXPECT_EQ(reserve('b', {at("fixed", "10.213.8.50")}).error().message, "Address already in use");
  EXPECT_EQ(reserve('b', {at("fixed", "10.1.1.1")}).error().message,
            "no configured subnet contains IP address 10.1.1.1");
  EXPECT_THAT(reserve('b', {at("auto", "172.18.0.9")}).error().message,
              HasSubstr("only when connecting to networks with user configured subnets"));
  EXPECT_EQ(reserve('b', {at("bridge", "10.213.0.9")}).error().message,
            "user specified IP address is supported on user defined networks only");
  EXPECT_EQ(reserve('b', {on("nowhere")}).error().message, "network nowhere not found");
}

TEST_F(NetworksTest, a_fixed_address_of_a_leaving_container_is_waited_for) {
  ASSERT_TRUE(create(R"({"Name":"fixed","IPAM":{"Config":[{"Subnet":"10.213.8.0/24"}]}})"));
  Endpoint endpoint = on("fixed");
  endpoint.requested_ipv4 = "10.213.8.50";
  ASSERT_TRUE(reserve('a', {endpoint}));
  networks_->leave(container('a'));
  std::thread behind([&] { EXPECT_TRUE(networks_->tear_down(container('a'))); });
  const auto attached = reserve('b', {endpoint});
  behind.join();
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_EQ(attached->endpoints[0].ipv4, "10.213.8.50");
}

TEST_F(NetworksTest, a_container_may_start_again_before_its_old_namespace_is_gone) {
  const std::string first = *networks_->create_netns(container('a'));
  ASSERT_TRUE(reserve('a', {on("bridge")}));
  ASSERT_TRUE(networks_->set_up(container('a'), first));
  networks_->leave(container('a'));
  const std::string second = *networks_->create_netns(container('a'));
  EXPECT_NE(first, second);
  ASSERT_TRUE(reserve('a', {on("bridge")}));
  ASSERT_TRUE(networks_->set_up(container('a'), second));
  EXPECT_EQ(networks_->netns_path(container('a')), second);
  ASSERT_TRUE(networks_->clear(container('a')));
  EXPECT_EQ(networks_->attachment(container('a'))->netns, second);
  EXPECT_EQ(host_.namespaces, std::set<std::string>{second});
}

TEST_F(NetworksTest, connects_and_disconnects_a_running_container) {
  ASSERT_TRUE(create(R"({"Name":"n"})"));
  ASSERT_TRUE(reserve('a', {on("bridge")}, {port(80, 8080)}));
  ASSERT_TRUE(networks_->set_up(container('a'), *networks_->create_netns(container('a'))));
  const auto connected = networks_->connect(container('a'), on("n"));
  ASSERT_TRUE(connected) << connected.error().message;
  EXPECT_EQ(connected->endpoints[1].interface, "eth1");
  EXPECT_EQ(networks_->connect(container('a'), on("n")).error().message,
            "endpoint with name ca already exists in network n");
  ASSERT_TRUE(networks_->disconnect(container('a'), "bridge"));
  EXPECT_THAT(host_.default_routes, ElementsAre("eth1 " + connected->endpoints[1].ipv4_gateway));
  EXPECT_THAT(host_.rules, HasSubstr("--to-destination " + connected->endpoints[1].ipv4 + ":80"));
  EXPECT_THAT(networks_->disconnect(container('a'), "bridge").error().message,
              HasSubstr("is not connected to network bridge"));
  EXPECT_EQ(networks_->attached(*networks_->find("n")).size(), 1u);
}

TEST_F(NetworksTest, a_new_daemon_goes_on_with_who_lives_and_takes_down_the_dead) {
  ASSERT_TRUE(create(R"({"Name":"n"})"));
  ASSERT_TRUE(reserve('a', {on("n")}, {port(80, 8080)}));
  ASSERT_TRUE(networks_->set_up(container('a'), *networks_->create_netns(container('a'))));
  ASSERT_TRUE(reserve('b', {on("n")}, {port(80, 8081)}));
  ASSERT_TRUE(networks_->set_up(container('b'), *networks_->create_netns(container('b'))));
  const Attachment before = *networks_->attachment(container('a'));
  reopen();
  ASSERT_TRUE(networks_->restore({container('a')}));
  EXPECT_FALSE(networks_->attachment(container('b')));
  ASSERT_TRUE(networks_->sweep());
  const Attachment after = *networks_->attachment(container('a'));
  EXPECT_EQ(json::serialize(after.endpoints[0].to_json()),
            json::serialize(before.endpoints[0].to_json()));
  EXPECT_EQ(host_.namespaces.size(), 1u);
  EXPECT_THAT(host_.rules, HasSubstr("--dport 8080"));
  EXPECT_THAT(host_.rules, Not(HasSubstr("--dport 8081")));
  EXPECT_FALSE(reserve('c', {on("n")}, {port(80, 8080)}));
  EXPECT_EQ(reserve('c', {on("n")})->endpoints[0].ipv4, "172.18.0.3");
}

TEST_F(NetworksTest, half_written_state_of_a_power_cut_is_dropped) {
  ASSERT_TRUE(
      write_file_atomic(root_ / "run/network/attachments/x.json", "{\"Contai", 0600, false));
  reopen();
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "run/network/attachments"));
}

TEST_F(NetworksTest, unchanged_rules_are_not_written_again) {
  ASSERT_TRUE(reserve('a', {on("bridge")}));
  ASSERT_TRUE(networks_->set_up(container('a'), "/ns/a"));
  const int before = host_.rule_changes;
  ASSERT_TRUE(reserve('b', {on("bridge")}));
  ASSERT_TRUE(networks_->set_up(container('b'), "/ns/b"));
  EXPECT_EQ(host_.rule_changes, before);
}

TEST_F(NetworksTest, name_servers_follow_the_kind_of_network) {
  ASSERT_TRUE(create(R"({"Name":"n","IPAM":{"Config":[{"Subnet":"10.213.8.0/24"}]}})"));
  EXPECT_EQ(networks_->resolv_conf({}, reserve('a', {on("bridge")})->endpoints),
            "nameserver 10.9.9.9\n");
  EXPECT_EQ(networks_->resolv_conf({}, reserve('b', {on("n")})->endpoints),
            "nameserver 10.213.8.1\n");
  EXPECT_THAT(*networks_->hosts("web", "", networks_->attachment(container('b'))->endpoints,
                                {"up:host-gateway"}),
              HasSubstr("10.213.0.1\tup\n10.213.8.2\tweb\n"));
}

TEST(NetworkMode, tells_the_kinds_apart) {
  using Kind = NetworkMode::Kind;
  EXPECT_EQ(parse_network_mode("")->reference, "bridge");
  EXPECT_EQ(parse_network_mode("default")->reference, "bridge");
  EXPECT_EQ(parse_network_mode("none")->kind, Kind::kNone);
  EXPECT_EQ(parse_network_mode("host")->kind, Kind::kHost);
  EXPECT_EQ(parse_network_mode("container:web")->kind, Kind::kContainer);
  EXPECT_EQ(parse_network_mode("container:web")->reference, "web");
  EXPECT_EQ(parse_network_mode("mine")->kind, Kind::kNetwork);
  EXPECT_FALSE(parse_network_mode("container:"));
}

}  // namespace
}  // namespace holdfast
