#include "state/store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace holdfast {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    char pattern[] = "/tmp/holdfast-store-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~StoreTest() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/state.db"; }

  std::string folder_;
};

TEST_F(StoreTest, KeepsRecordsAcrossReopening) {
  {
    auto store = *Store::open(path());
    ASSERT_TRUE(store->put(RecordKind::kVolume, "b", "{\"n\":1}"));
    ASSERT_TRUE(store->put(RecordKind::kVolume, "a", "{}"));
    ASSERT_TRUE(store->put(RecordKind::kVolume, "b", "{\"n\":2}"));
    ASSERT_TRUE(store->put(RecordKind::kContainer, "b", "{}"));
    ASSERT_TRUE(store->erase(RecordKind::kContainer, "b"));
  }
  auto store = *Store::open(path());
  auto volumes = *store->all(RecordKind::kVolume);
  ASSERT_EQ(volumes.size(), 2u);
  EXPECT_EQ(volumes[0].key, "a");
  EXPECT_EQ(volumes[1].document, "{\"n\":2}");
  EXPECT_TRUE(store->all(RecordKind::kContainer)->empty());
  EXPECT_EQ(*store->get(RecordKind::kVolume, "b"), "{\"n\":2}");
  EXPECT_EQ(*store->get(RecordKind::kVolume, "c"), std::nullopt);
  EXPECT_EQ(*store->get(RecordKind::kContainer, "b"), std::nullopt);
}

// Each commit overwrites blocks of the log that are there, round after round.
TEST_F(StoreTest, TheLogKeepsItsLength) {
  auto store = *Store::open(path());
  auto length = std::filesystem::file_size(path() + "-wal");
  EXPECT_GT(length, 1u << 20);
  for (int i = 0; i < 600; ++i)
    ASSERT_TRUE(store->put(RecordKind::kVolume, "a", std::to_string(i)));
  EXPECT_EQ(std::filesystem::file_size(path() + "-wal"), length);
}

TEST_F(StoreTest, WhatAKilledDaemonLeavesHasEveryCommit) {
  auto store = *Store::open(path());
  auto copy = folder_ + "/copy.db";
  for (int i = 0; i < 600; ++i) {
    ASSERT_TRUE(store->put(RecordKind::kVolume, "a", std::to_string(i)));
    if (i % 53 != 0) continue;
    std::filesystem::remove(copy + "-shm");
    for (const char* part : {"", "-wal"})
      std::filesystem::copy_file(path() + part, copy + part,
                                 std::filesystem::copy_options::overwrite_existing);
    auto after = *Store::open(copy);
    EXPECT_EQ(*after->get(RecordKind::kVolume, "a"), std::to_string(i));
  }
}

TEST_F(StoreTest, ManyThreadsLoseNothing) {
  auto store = *Store::open(path());
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&store, t] {
      for (int i = 0; i < 50; ++i) {
        ASSERT_TRUE(store->put(RecordKind::kVolume, fmt::format("{}-{}", t, i), "{}"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(store->all(RecordKind::kVolume)->size(), 400u);
}

TEST_F(StoreTest, RefusesADamagedFileAndLeavesItAlone) {
  std::ofstream(path()) << std::string(8192, 'x');
  auto store = Store::open(path());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kDataLoss);
  EXPECT_NE(store.error().message.find(path()), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path()), 8192u);
}

TEST_F(StoreTest, RefusesAFileOfANewerVersion) {
  { auto store = *Store::open(path()); }
  // user_version is the big-endian number at offset 60 of the header (SQLite file format,
  // section 1.3).
  std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(60);
  file.write("\0\0\0\x63", 4);
  file.close();
  auto store = Store::open(path());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace holdfast
