#include "storage/driver/plugin/mount_ledger.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using State = MountLedger::State;

class MountLedgerTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  UniqueFd fd_ = *open_file(directory_ / "", O_PATH | O_DIRECTORY);
  std::filesystem::path file_ = directory_ / "plugin.json";
};

TEST_F(MountLedgerTest, ComesBackAsWritten) {
  MountLedger ledger;
  ledger.mountpoint = "/mnt/x";
  ledger.entries = {{HolderId("a"), State::kMounted},
                    {HolderId("b"), State::kMounting},
                    {HolderId("c"), State::kLeaving},
                    {HolderId("d"), State::kUnsure}};
  ASSERT_TRUE(ledger.write(fd_, true));
  auto read = MountLedger::read(fd_);
  EXPECT_EQ(read.entries, ledger.entries);
  EXPECT_EQ(read.mountpoint, "/mnt/x");
  EXPECT_TRUE(read.mounted());
}

TEST_F(MountLedgerTest, IsThereOnlyWithEntries) {
  MountLedger ledger;
  EXPECT_TRUE(ledger.write(fd_, false));
  ledger.entries[HolderId("a")] = State::kMounting;
  ASSERT_TRUE(ledger.write(fd_, false));
  EXPECT_TRUE(std::filesystem::exists(file_));
  EXPECT_FALSE(MountLedger::read(fd_).mounted());
  ledger.entries.clear();
  ASSERT_TRUE(ledger.write(fd_, false));
  EXPECT_FALSE(std::filesystem::exists(file_));
  EXPECT_TRUE(ledger.write(fd_, false));
}

TEST_F(MountLedgerTest, DamagedOneIsEmpty) {
  std::ofstream(file_) << "{\"mounts\": {\"a\": \"mou";
  EXPECT_TRUE(MountLedger::read(fd_).entries.empty());
  std::ofstream(file_) << R"({"mounts": {"a": "nonsense", "b": "leaving"}})";
  EXPECT_EQ(MountLedger::read(fd_).entries.size(), 1u);
}

}  // namespace
}  // namespace holdfast
