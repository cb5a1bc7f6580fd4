#include "client/progress.h"

#include <gtest/gtest.h>

namespace holdfast::client {
namespace {

std::string show(unsigned columns, const std::vector<std::string>& messages) {
  std::string out;
  ProgressDisplay display([&](std::string_view text) { out += text; }, columns);
  for (const auto& message : messages) {
    auto status = display.show(json::parse_object(message).value());
    if (!status) out += "error: " + status.error().message;
  }
  return out;
}

const std::vector<std::string> kPull = {
    R"({"status":"Pulling from library/busybox","id":"latest"})",
    R"({"status":"Pulling fs layer","progressDetail":{},"id":"aaa"})",
    R"({"status":"Downloading","progressDetail":{"current":1000,"total":2000},"id":"aaa"})",
    R"({"status":"Pull complete","progressDetail":{},"id":"aaa"})",
    R"({"status":"Status: Downloaded newer image for busybox:latest"})"};

TEST(Progress, IsPlainLinesWithoutTerminal) {
  EXPECT_EQ(show(0, kPull),
            "latest: Pulling from library/busybox\naaa: Pulling fs layer\naaa: Pull complete\n"
            "Status: Downloaded newer image for busybox:latest\n");
}

TEST(Progress, RedrawsALayersLineOnATerminal) {
  EXPECT_EQ(show(80, {kPull[1], kPull[2]}),
            "\n\x1b[1A\x1b[2K\raaa: Pulling fs layer \r\x1b[1B"
            "\x1b[1A\x1b[2K\raaa: Downloading      1kB/2kB\r\x1b[1B");
  EXPECT_NE(show(120, {kPull[2]}).find("[=========================>                         ]"),
            std::string::npos);
}

TEST(Progress, AnErrorEndsIt) {
  EXPECT_EQ(show(0, {R"({"errorDetail":{"message":"no"},"error":"no"})"}), "error: no");
  EXPECT_EQ(show(0, {R"({"stream":"Loaded image: x\n"})"}), "Loaded image: x\n");
}

}  // namespace
}  // namespace holdfast::client
