#include "client/endpoint.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

TEST(Endpoint, ParsesUnixAndTcp) {
  EXPECT_EQ(parse_endpoint("unix:///run/x.sock")->path, "/run/x.sock");
  auto tcp = parse_endpoint("tcp://10.0.0.1:99");
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->host, "10.0.0.1");
  EXPECT_EQ(tcp->port, "99");
  EXPECT_FALSE(tcp->is_unix());
  EXPECT_EQ(parse_endpoint("tcp://[::1]:99")->host, "::1");
  EXPECT_EQ(parse_endpoint("tcp://[::1]")->port, "2375");
  EXPECT_EQ(parse_endpoint("localhost:99")->port, "99");
  EXPECT_TRUE(parse_endpoint("https://host")->tls.has_value());
}

TEST(Endpoint, RefusesTheRest) {
  for (std::string_view text : {"", "/run/x.sock", "ssh://me@host", "fd://", "tcp://host:http"})
    EXPECT_FALSE(parse_endpoint(text)) << text;
}

TEST(Endpoint, PrefersOptionThenOurVariableThenDockers) {
  Environment environment{{"DOCKER_HOST", "unix:///d"}, {"HOLDFAST_HOST", "unix:///h"}};
  EndpointOptions options;
  EXPECT_EQ(choose_endpoint(options, environment, "/c")->path, "/h");
  options.host = "unix:///o";
  EXPECT_EQ(choose_endpoint(options, environment, "/c")->path, "/o");
  options.host.clear();
  environment.erase("HOLDFAST_HOST");
  EXPECT_EQ(choose_endpoint(options, environment, "/c")->path, "/d");
  EXPECT_EQ(choose_endpoint(options, {}, "/c")->path, "/run/holdfast/holdfast.sock");
}

TEST(Endpoint, TakesTlsFromTheEnvironment) {
  Environment environment{
      {"DOCKER_HOST", "tcp://h:1"}, {"DOCKER_TLS_VERIFY", "1"}, {"DOCKER_CERT_PATH", "/certs"}};
  auto endpoint = choose_endpoint({}, environment, "/c");
  ASSERT_TRUE(endpoint && endpoint->tls);
  EXPECT_TRUE(endpoint->tls->verify);
  EXPECT_EQ(endpoint->tls->ca, "/certs/ca.pem");
  environment.erase("DOCKER_TLS_VERIFY");
  EXPECT_FALSE(choose_endpoint({}, environment, "/c")->tls);
  EndpointOptions options;
  options.tls = true;
  endpoint = choose_endpoint(options, environment, "/c");
  ASSERT_TRUE(endpoint->tls);
  EXPECT_FALSE(endpoint->tls->verify);
}

}  // namespace
}  // namespace holdfast::client
