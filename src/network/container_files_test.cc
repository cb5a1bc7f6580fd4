#include "network/container_files.h"

#include <gtest/gtest.h>

#include "network/networks.h"

namespace holdfast {
namespace {

TEST(ResolvConf, follows_the_host_without_its_loopback_servers) {
  EXPECT_EQ(render_resolv_conf({}, {},
                               "# made by hand\nnameserver 127.0.0.53\nnameserver 10.1.1.1\n"
                               "search old\nsearch example.org b.example\noptions edns0\n"),
            "nameserver 10.1.1.1\nsearch example.org b.example\noptions edns0\n");
}

TEST(ResolvConf, falls_back_to_public_servers) {
  EXPECT_EQ(render_resolv_conf({}, {}, "nameserver ::1\n"),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

TEST(ResolvConf, takes_what_the_container_was_given) {
  ContainerDns dns{{"9.9.9.9"}, {"corp"}, {"ndots:2", "rotate"}};
  EXPECT_EQ(render_resolv_conf(dns, {}, "nameserver 10.1.1.1\nsearch x\noptions y\n"),
            "nameserver 9.9.9.9\nsearch corp\noptions ndots:2 rotate\n");
  dns.search = {"."};
  dns.options.clear();
  EXPECT_EQ(render_resolv_conf(dns, {}, "search x\n"), "nameserver 9.9.9.9\n");
}

TEST(ResolvConf, asks_the_networks_own_server_alone) {
  const ContainerDns dns{{"9.9.9.9"}, {}, {}};
  EXPECT_EQ(render_resolv_conf(dns, {"10.213.1.1"}, "nameserver 10.1.1.1\n"),
            "nameserver 10.213.1.1\n");
}

TEST(Hosts, lists_extra_hosts_and_its_own_names) {
  const auto text =
      render_hosts({{"10.213.1.2", "web.example web"}},
                   {"db:10.0.0.9", "v6=fd00::1", "v6b:[fd00::2]", "up:host-gateway"}, "10.213.1.1");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_NE(text->find("127.0.0.1\tlocalhost\n"), std::string::npos);
  EXPECT_NE(text->find("10.0.0.9\tdb\nfd00::1\tv6\nfd00::2\tv6b\n10.213.1.1\tup\n"
                       "10.213.1.2\tweb.example web\n"),
            std::string::npos)
      << *text;
}

TEST(Hosts, refuses_what_would_break_the_file) {
  EXPECT_EQ(render_hosts({}, {"db"}, "").error().message, "bad format for add-host: \"db\"");
  EXPECT_FALSE(render_hosts({}, {"db:10.0.0.1\n6.6.6.6 evil"}, ""));
  EXPECT_FALSE(render_hosts({}, {"db\tx:10.0.0.1"}, ""));
  EXPECT_FALSE(render_hosts({}, {"up:host-gateway"}, ""));
}

TEST(Names, has_the_name_servers_columns) {
  EXPECT_EQ(render_names({"10.213.1.1", "fd00::1"},
                         {{"c1", "10.213.1.2", "", {"web", "bad name", "www"}, {}},
                          {"c2", "10.213.1.3", "fd00::3", {"db"}, {"9.9.9.9", "nonsense"}}}),
            "10.213.1.1,fd00::1\n"
            "c1 10.213.1.2  web,www\n"
            "c2 10.213.1.3 fd00::3 db 9.9.9.9\n");
}

}  // namespace
}  // namespace holdfast
