#include "storage/volume/record_index.h"

#include <gtest/gtest.h>

#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class RecordIndexTest : public testing::Test {
 protected:
  ~RecordIndexTest() override { pool_.stop(); }

  std::map<std::string, std::string> rows() {
    std::map<std::string, std::string> found;
    auto records = store_->all(RecordKind::kVolume);
    EXPECT_TRUE(records);
    for (const auto& record : *records) found[record.key] = record.document;
    return found;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_ = *Store::open(directory_ / "state.db");
  ThreadPool pool_{1};
  RecordIndex index_{*store_, pool_};
};

TEST_F(RecordIndexTest, FlushedChangesAreThereInTheOrderTheyCame) {
  index_.put("a", "1");
  index_.put("b", "1");
  index_.erase("a", {});
  index_.put_at_leisure("b", "2");
  index_.put("c", "1");
  ASSERT_TRUE(index_.flush());
  EXPECT_EQ(rows(), (std::map<std::string, std::string>{{"b", "2"}, {"c", "1"}}));
}

// A volume made under the name of one that has just gone.
TEST_F(RecordIndexTest, ACommitComesAfterWhatIsQueuedOfItsNames) {
  for (int i = 0; i < 20; ++i) {
    index_.put("a", "old");
    index_.erase("a", {});
    index_.put_at_leisure("b", "old");
    ASSERT_TRUE(index_.commit({{"a", "new"}, {"b", std::nullopt}}));
    EXPECT_EQ(rows(), (std::map<std::string, std::string>{{"a", "new"}}));
    ASSERT_TRUE(index_.flush());
    EXPECT_EQ(rows(), (std::map<std::string, std::string>{{"a", "new"}}));
  }
}

TEST_F(RecordIndexTest, WhatCanWaitIsHurriedByAFlush) {
  auto begun = std::chrono::steady_clock::now();
  index_.put_at_leisure("a", "1");
  ASSERT_TRUE(index_.flush());
  EXPECT_EQ(rows().size(), 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
}

TEST_F(RecordIndexTest, ErasuresTellWhenTheyAreDurable) {
  std::atomic<int> told = 0;
  index_.put("a", "1");
  for (int i = 0; i < 50; ++i) index_.erase("a", [&] { ++told; });
  ASSERT_TRUE(index_.flush());
  EXPECT_EQ(told, 50);
}

TEST_F(RecordIndexTest, FlushDoesNotWaitForWhatComesAfterIt) {
  std::atomic<bool> stop = false;
  // Slower than the table takes them, or each commit would be longer than the one before.
  std::thread busy([&] {
    while (!stop) {
      index_.put("busy", "x");
      std::this_thread::sleep_for(200us);
    }
  });
  for (int i = 0; i < 20; ++i) {
    index_.put("mine", std::to_string(i));
    EXPECT_TRUE(index_.flush());
    EXPECT_EQ(rows().at("mine"), std::to_string(i));
  }
  stop = true;
  busy.join();
}

}  // namespace
}  // namespace holdfast
