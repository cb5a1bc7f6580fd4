#include "client/port_text.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

std::string text(std::string_view json_text) {
  return displayable_ports(json::parse(json_text).value().get_array());
}

TEST(PortText, GroupsConsecutivePorts) {
  EXPECT_EQ(text("[]"), "");
  EXPECT_EQ(text(R"([{"PrivatePort":80,"Type":"tcp"}])"), "80/tcp");
  EXPECT_EQ(text(R"([{"PrivatePort":80,"Type":"tcp","IP":"0.0.0.0","PublicPort":8080},
                     {"PrivatePort":80,"Type":"tcp","IP":"::","PublicPort":8080}])"),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
  EXPECT_EQ(text(R"([{"PrivatePort":82,"Type":"tcp","IP":"0.0.0.0","PublicPort":82},
                     {"PrivatePort":81,"Type":"tcp","IP":"0.0.0.0","PublicPort":81},
                     {"PrivatePort":90,"Type":"udp"}])"),
            "0.0.0.0:81-82->81-82/tcp, 90/udp");
  EXPECT_EQ(text(R"([{"PrivatePort":1,"Type":"tcp"},{"PrivatePort":3,"Type":"tcp"}])"),
            "1/tcp, 3/tcp");
}

}  // namespace
}  // namespace holdfast::client
