#include "storage/migrate/bolt_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/file.h"
#include "storage/migrate/bolt_writer.h"
#include "storage/migrate/foreign_records.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using W = BoltWriter;

constexpr const char* kRecord =
    R"({"Name":"data","Driver":"local","Labels":{"a":"b"},"Options":null})";

Result<BoltFile> parse(std::string bytes) { return BoltFile::parse(std::move(bytes), "/x.db"); }

std::vector<std::string> keys_of(const Result<std::vector<BoltFile::Entry>>& entries) {
  std::vector<std::string> keys;
  if (!entries) return {entries.error().message};
  for (const auto& entry : *entries) keys.emplace_back(entry.key);
  return keys;
}

std::string problem_of(std::string bytes) {
  auto file = parse(std::move(bytes));
  if (!file) return file.error().message;
  auto entries = file->entries();
  if (!entries) return entries.error().message;
  for (const auto& entry : *entries) {
    if (!entry.bucket) continue;
    auto inner = file->entries(entry);
    if (!inner) return inner.error().message;
  }
  return "";
}

// A bucket of its own page, an inline one, and a value that needs overflow pages.
std::string whole_file() {
  std::string large(10'000, 'v');
  return W::file({
      W::leaf(3, {{"inline", W::bucket(0, W::leaf(0, {{"k", "v", 0}}, true)), 1},
                  {"plain", "value", 0},
                  {"volumes", W::bucket(4), 1}}),
      W::branch(4, {{"a", 5}, {"m", 6}}),
      W::leaf(5, {{"a", "1", 0}, {"data", kRecord, 0}}),
      W::leaf(6, {{"m", large, 0}, {"z", "", 0}}),
  });
}

TEST(BoltFileTest, ReadsBucketsOfPagesAndInlineOnes) {
  auto file = parse(whole_file());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(keys_of(file->entries()), (std::vector<std::string>{"inline", "plain", "volumes"}));
  auto volumes = file->bucket("volumes");
  ASSERT_TRUE(volumes) << volumes.error().message;
  auto entries = file->entries(*volumes);
  EXPECT_EQ(keys_of(entries), (std::vector<std::string>{"a", "data", "m", "z"}));
  EXPECT_EQ((*entries)[1].value, kRecord);
  EXPECT_EQ((*entries)[2].value.size(), 10'000U);
  auto inlined = file->entries(*file->bucket("inline"));
  ASSERT_TRUE(inlined) << inlined.error().message;
  EXPECT_EQ((*inlined)[0].value, "v");
  EXPECT_EQ(file->bucket("plain").error().code, Code::kNotFound);
}

TEST(BoltFileTest, TakesTheNewerMetaPageAndTheOtherIfOneIsDamaged) {
  auto leaf = [](std::uint64_t id, const char* key) { return W::leaf(id, {{key, "", 0}}); };
  std::string bytes = W::meta(0, 3, 7) + W::meta(1, 4, 6) + W::header(2, 16, 0, W::kPageSize) +
                      leaf(3, "newer") + leaf(4, "older");
  EXPECT_EQ(keys_of(parse(bytes)->entries()), std::vector<std::string>{"newer"});
  std::string damaged = bytes;
  damaged[16 + 20] ^= 1;
  EXPECT_EQ(keys_of(parse(damaged)->entries()), std::vector<std::string>{"older"});
  damaged[W::kPageSize + 70] ^= 1;
  EXPECT_EQ(parse(damaged).error().code, Code::kDataLoss);
}

TEST(BoltFileTest, NamesTheFileThatIsNone) {
  for (const std::string& bytes : {std::string(), std::string("text"), std::string(100'000, 'x')}) {
    auto file = parse(bytes);
    ASSERT_FALSE(file);
    EXPECT_THAT(file.error().message, testing::HasSubstr("\"/x.db\""));
  }
}

TEST(BoltFileTest, RefusesPagesThatLeadElsewhere) {
  using testing::HasSubstr;
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", 3}})})), HasSubstr("there twice"));
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", 4}, {"b", 4}}), W::leaf(4, {})})),
              HasSubstr("there twice"));
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", 99}})})), HasSubstr("page 99 of 4"));
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", 1}})})), HasSubstr("page 1 of"));
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", ~0ULL}})})), HasSubstr("of 4"));
  EXPECT_THAT(problem_of(W::file({W::branch(3, {{"a", 4}}), W::leaf(7, {})})),
              HasSubstr("says it is another"));
  EXPECT_THAT(problem_of(W::file({W::header(3, 16, 0, W::kPageSize)})),
              HasSubstr("neither branch nor leaf"));
  EXPECT_THAT(problem_of(W::file({W::leaf(3, {{"b", W::bucket(3), 1}})})), testing::Eq(""));
  EXPECT_THAT(problem_of(W::file({W::leaf(3, {{"b", "short", 1}})})), HasSubstr("is no bucket"));
  EXPECT_THAT(problem_of(W::file({W::leaf(3, {{"b", W::bucket(0, "cut"), 1}})})),
              HasSubstr("cut short"));
}

TEST(BoltFileTest, RefusesATreeThatIsTooDeep) {
  std::vector<std::string> pages;
  for (std::uint64_t id = 3; id < 60; ++id) pages.push_back(W::branch(id, {{"a", id + 1}}));
  pages.push_back(W::leaf(60, {}));
  EXPECT_THAT(problem_of(W::file(pages)), testing::HasSubstr("deeper than"));
}

TEST(BoltFileTest, RefusesEntriesOutOfTheirPage) {
  struct Damage {
    std::size_t at;
    std::uint32_t value;
  };
  const auto whole = W::leaf(3, {{"key", "value", 0}, {"other", "more", 0}});
  for (auto [at, value] : {Damage{20, 5000},
                           {20, 0xffffffff},
                           {20, 4},
                           {24, 5000},
                           {24, 0xffffffff},
                           {28, 4090},
                           {28, 0xffffffff}}) {
    auto page = whole;
    W::put<std::uint32_t>(page, at, value);
    EXPECT_THAT(problem_of(W::file({page})), testing::HasSubstr("outside of its page"))
        << at << " " << value;
  }
  auto page = whole;
  W::put<std::uint16_t>(page, 10, 0xffff);
  EXPECT_THAT(problem_of(W::file({page})), testing::HasSubstr("claims 65535 entries"));
  page = whole;
  W::put<std::uint32_t>(page, 12, 1000);
  EXPECT_THAT(problem_of(W::file({page})), testing::HasSubstr("longer than the file"));
}

// Entries that share their bytes would make a small file a large answer.
TEST(BoltFileTest, RefusesEntriesThatShareBytes) {
  std::vector<W::Element> elements(100, {"k", std::string(30, 'v'), 0});
  auto page = W::leaf(3, elements);
  for (std::size_t i = 0; i < 100; ++i) {
    std::size_t at = 16 + i * 16;
    W::put<std::uint32_t>(page, at + 4, static_cast<std::uint32_t>(16 + 1600 - at));
    W::put<std::uint32_t>(page, at + 12, 2000);
  }
  EXPECT_THAT(problem_of(W::file({page})), testing::HasSubstr("outside of its page"));
}

TEST(BoltFileTest, SurvivesEveryFlippedByteAndEveryLength) {
  const auto whole = whole_file();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit : {0, 7}) {
      auto bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      static_cast<void>(problem_of(std::move(bytes)));
    }
  }
  for (std::size_t length = 0; length < whole.size(); length += 7)
    static_cast<void>(problem_of(whole.substr(0, length)));
}

TEST(BoltFileTest, SurvivesNoiseBehindValidMetaPages) {
  std::mt19937 random(20261127);
  auto whole = whole_file();
  for (int round = 0; round < 3000; ++round) {
    auto bytes = whole;
    int changes = 1 + static_cast<int>(random() % 60);
    for (int i = 0; i < changes; ++i) {
      std::size_t at = 3 * W::kPageSize + random() % (bytes.size() - 3 * W::kPageSize);
      // Mostly where headers and elements are, which decide.
      if (i % 4 != 0) at = at / W::kPageSize * W::kPageSize + random() % 96;
      bytes[at] = static_cast<char>(random());
    }
    auto file = parse(std::move(bytes));
    ASSERT_TRUE(file);
    if (auto entries = file->entries()) {
      for (const auto& entry : *entries)
        if (entry.bucket) static_cast<void>(file->entries(entry));
    }
    static_cast<void>(docker_records(*file));
    static_cast<void>(podman_records(*file));
  }
}

// All of a user's volumes claim one large bucket.
TEST(BoltFileTest, RefusesBucketsThatShareAPage) {
  std::string large(40'000, 'v');
  std::vector<W::Element> volumes(2000, {"volume", W::bucket(50), 1});
  std::vector<std::string> pages{W::leaf(3, {{"vol", W::bucket(4), 1}}), W::leaf(4, volumes)};
  std::size_t used = 3;
  for (const auto& page : pages) used += page.size() / W::kPageSize;
  while (used++ < 50) pages.emplace_back(W::kPageSize, '\0');
  pages.push_back(W::leaf(50, {{"config", large, 0}}));
  auto records = podman_records(*parse(W::file(pages)));
  ASSERT_FALSE(records);
  EXPECT_THAT(records.error().message, testing::HasSubstr("share"));
}

TEST(BoltFileTest, ReadsAFileAndRefusesOneThatIsTooLarge) {
  TemporaryDirectory directory;
  ASSERT_TRUE(write_file_atomic(directory / "db", whole_file(), 0600, false));
  auto file = open_file(directory / "db", O_RDONLY);
  ASSERT_TRUE(file);
  auto read = BoltFile::read(*file, "db");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(keys_of(read->entries()).size(), 3U);
  EXPECT_EQ(BoltFile::read(*file, "db", 1000).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace holdfast
