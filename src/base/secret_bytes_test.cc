#include "base/secret_bytes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/secret_json.h"

namespace holdfast {
namespace {

// Where in this process's writable memory `parts` stand one behind the other; they are given apart,
// so that the search itself does not put them there.
std::size_t count_in_memory(const std::vector<std::string>& parts) {
  std::ifstream maps("/proc/self/maps");
  // Read without a buffer in between, which would keep what it has read.
  auto memory = open_file("/proc/self/mem", O_RDONLY);
  if (!memory) throw std::runtime_error(memory.error().message);
  std::size_t found = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0, to = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
    if (line.find("[v") != std::string::npos) continue;
    std::string bytes(to - from, '\0');
    auto count = ::pread(memory->get(), bytes.data(), bytes.size(), static_cast<off_t>(from));
    if (count != static_cast<ssize_t>(bytes.size())) continue;
    for (auto at = bytes.find(parts[0]); at != std::string::npos;
         at = bytes.find(parts[0], at + 1)) {
      std::size_t next = at + parts[0].size();
      if (bytes.compare(next, parts[1].size(), parts[1]) == 0) ++found;
    }
    // What was read of itself is not found again.
    wipe(bytes);
  }
  return found;
}

const std::vector<std::string> kParts = {"shibbo", "leth-4711"};

void fill(char* target) {
  std::memcpy(target, kParts[0].data(), kParts[0].size());
  std::memcpy(target + kParts[0].size(), kParts[1].data(), kParts[1].size());
}

TEST(SecretBytes, AreGoneWithTheirOwner) {
  {
    SecretBytes bytes(15);
    fill(bytes.data());
    SecretBytes moved(std::move(bytes));
    EXPECT_EQ(moved.size(), 15U);
    EXPECT_GE(count_in_memory(kParts), 1U);
  }
  EXPECT_EQ(count_in_memory(kParts), 0U);
}

TEST(SecretBytes, WhatIsCutOffIsOverwritten) {
  SecretBytes bytes(15);
  fill(bytes.data());
  bytes.shrink(3);
  EXPECT_EQ(bytes.view(), "shi");
  EXPECT_EQ(count_in_memory(kParts), 0U);
}

TEST(SecretBytes, AWipedStringIsEmptyAndItsMemoryToo) {
  std::string text(100, 'x');
  fill(text.data());
  text.resize(2);
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(count_in_memory(kParts), 0U);
}

TEST(SecretBytes, JsonInWipingMemoryLeavesNothing) {
  {
    std::string text = "{\"a\":[\"" + std::string(4000, 'x') + "\"]}";
    fill(text.data() + 2000);
    auto object = parse_secret_object(text);
    wipe(text);
    ASSERT_TRUE(object);
    EXPECT_GE(count_in_memory(kParts), 1U);
  }
  EXPECT_EQ(count_in_memory(kParts), 0U);
}

}  // namespace
}  // namespace holdfast
