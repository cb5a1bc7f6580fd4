#include "state/data_root.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace holdfast {
namespace {

class DataRootTest : public testing::Test {
 protected:
  DataRootTest() {
    char pattern[] = "/tmp/holdfast-root-XXXXXX";
    root_ = ::mkdtemp(pattern);
  }
  ~DataRootTest() override { std::filesystem::remove_all(root_); }
  std::string root_;
};

TEST_F(DataRootTest, ASecondDaemonIsRefusedByName) {
  auto first = DirectoryLock::acquire(root_, 0700);
  ASSERT_TRUE(first);
  auto second = DirectoryLock::acquire(root_, 0700);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().message.find(std::to_string(::getpid())), std::string::npos);
}

TEST_F(DataRootTest, AWiderModeIsNarrowed) {
  ::chmod(root_.c_str(), 0755);
  ASSERT_TRUE(DirectoryLock::acquire(root_, 0700));
  struct stat status = {};
  ::stat(root_.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(DataRootTest, ContainersWithoutTheirRecordsAreNotTakenForLeftovers) {
  EXPECT_TRUE(check_records_present(root_));
  std::filesystem::create_directories(root_ + "/volumes/data");
  EXPECT_TRUE(check_records_present(root_));
  std::filesystem::create_directories(root_ + "/containers/abc");
  auto refused = check_records_present(root_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kDataLoss);
  std::ofstream(root_ + "/state.db") << "";
  EXPECT_TRUE(check_records_present(root_));
}

}  // namespace
}  // namespace holdfast
