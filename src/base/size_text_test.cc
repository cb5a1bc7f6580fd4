#include "base/size_text.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(SizeText, HumanSizeCountsInThousands) {
  EXPECT_EQ(human_size(0), "0B");
  EXPECT_EQ(human_size(999), "999B");
  EXPECT_EQ(human_size(1000), "1kB");
  EXPECT_EQ(human_size(1234), "1.234kB");
  EXPECT_EQ(human_size(1234, 3), "1.23kB");
  EXPECT_EQ(human_size(44556677, 3), "44.6MB");
  EXPECT_EQ(human_size(1.5e12), "1.5TB");
}

TEST(SizeText, BytesSizeCountsIn1024) {
  EXPECT_EQ(bytes_size(1023), "1023B");
  EXPECT_EQ(bytes_size(1536), "1.5KiB");
  EXPECT_EQ(bytes_size(64 << 20), "64MiB");
}

TEST(SizeText, ParsesWhatDockerParses) {
  EXPECT_EQ(parse_ram_size("512").value(), 512);
  EXPECT_EQ(parse_ram_size("512b").value(), 512);
  EXPECT_EQ(parse_ram_size("64m").value(), 64 << 20);
  EXPECT_EQ(parse_ram_size("64MB").value(), 64 << 20);
  EXPECT_EQ(parse_ram_size("1KiB").value(), 1024);
  EXPECT_EQ(parse_ram_size("1.5g").value(), 3LL << 29);
  EXPECT_EQ(parse_ram_size("2 gb").value(), 2LL << 30);
  EXPECT_EQ(parse_ram_size(".5k").value(), 512);
}

TEST(SizeText, RefusesWithDockersWords) {
  EXPECT_EQ(parse_ram_size("").error().message, "invalid size: ''");
  EXPECT_EQ(parse_ram_size("m").error().message, "invalid size: 'm'");
  EXPECT_EQ(parse_ram_size("-1").error().message, "invalid size: '-1'");
  EXPECT_EQ(parse_ram_size("32x").error().message, "invalid suffix: 'x'");
  EXPECT_EQ(parse_ram_size("32kx").error().message, "invalid suffix: 'kx'");
  EXPECT_EQ(parse_ram_size("32bb").error().message, "invalid suffix: 'bb'");
  EXPECT_EQ(parse_ram_size("1..5k").error().message,
            "strconv.ParseFloat: parsing \"1..5\": invalid syntax");
  EXPECT_EQ(parse_ram_size("99999999p").error().message, "invalid size: '99999999p'");
}

}  // namespace
}  // namespace holdfast
