#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "storage/temporary_directory.h"
#include "storage/volume/volumes.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;

const VolumeName kData("data");

class AdoptionTest : public testing::Test {
 protected:
  AdoptionTest() {
    open();
    write(source_ / "_data/dir/file", "content");
    fs::create_hard_link(source_ / "_data/dir/file", source_ / "_data/second");
    fs::create_symlink("/nowhere", source_ / "_data/link");
    directory_ = *open_file(source_.path(), O_RDONLY | O_DIRECTORY);
  }

  static void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
  }
  void open() {
    volumes_.reset();
    store_.reset();
    EXPECT_TRUE(make_directories(root_, 0700));
    store_ = std::move(*Store::open(root_ + "/state.db"));
    volumes_ = std::move(*Volumes::open(root_, *store_));
    volumes_->holders_restored();
  }
  Volumes::Adoption adoption(Volumes::AdoptBy by) const {
    Volumes::Adoption adoption;
    adoption.spec = {"data", "local", {}, {{"a", "b"}}};
    adoption.created = *parse_rfc3339("2020-01-02T03:04:05Z");
    adoption.source = directory_;
    adoption.by = by;
    return adoption;
  }
  std::string volume(const std::string& path) const { return root_ + "/volumes/data/" + path; }
  void expect_whole() {
    EXPECT_EQ(read_file(volume("_data/dir/file")).value_or("gone"), "content");
    EXPECT_EQ(fs::hard_link_count(volume("_data/second")), 2U);
    EXPECT_EQ(fs::read_symlink(volume("_data/link")), "/nowhere");
    auto found = volumes_->get(kData);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ((*found)->labels.at("a"), "b");
    EXPECT_EQ(to_rfc3339((*found)->created), "2020-01-02T03:04:05Z");
  }
  void expect_nothing() {
    EXPECT_FALSE(volumes_->get(kData));
    EXPECT_FALSE(fs::exists(volume("")));
    EXPECT_EQ(read_file(source_ / "_data/dir/file").value_or("gone"), "content");
    EXPECT_TRUE(is_swept());
  }
  // What is left in staging is deleted in the background.
  bool is_swept() const {
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (!fs::is_empty(root_ + "/staging")) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  TemporaryDirectory temporary_;
  std::string root_ = temporary_ / "root";
  TemporaryDirectory source_;
  UniqueFd directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
};

TEST_F(AdoptionTest, CopiesFilesWithLabelsAndDate) {
  std::atomic<std::uint64_t> copied{0};
  auto wanted = adoption(Volumes::AdoptBy::kCopy);
  wanted.copied = &copied;
  auto adopted = volumes_->adopt(wanted);
  ASSERT_TRUE(adopted) << adopted.error().message;
  expect_whole();
  EXPECT_EQ(copied, 7U);
  EXPECT_TRUE(fs::exists(source_ / "_data/dir/file"));
  open();
  expect_whole();
}

TEST_F(AdoptionTest, MovesFiles) {
  auto adopted = volumes_->adopt(adoption(Volumes::AdoptBy::kMove));
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_FALSE(fs::exists(source_ / "_data"));
  expect_whole();
  open();
  expect_whole();
}

TEST_F(AdoptionTest, ANameThatIsTakenIsLeftAlone) {
  ASSERT_TRUE(volumes_->create({"data", "", {}, {}}));
  for (auto by : {Volumes::AdoptBy::kCopy, Volumes::AdoptBy::kMove}) {
    auto adopted = volumes_->adopt(adoption(by));
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().code, Code::kAlreadyExists);
  }
  EXPECT_TRUE(fs::is_empty(volume("_data")));
  EXPECT_TRUE(fs::exists(source_ / "_data/dir/file"));
}

TEST_F(AdoptionTest, WhatIsNotConfirmedLeavesNothing) {
  for (auto by : {Volumes::AdoptBy::kCopy, Volumes::AdoptBy::kMove}) {
    auto wanted = adoption(by);
    wanted.confirm = [] { return Status(fail(Code::kConflict, "in use now")); };
    auto adopted = volumes_->adopt(wanted);
    ASSERT_FALSE(adopted);
    EXPECT_EQ(adopted.error().message, "take over data: in use now");
    expect_nothing();
  }
}

TEST_F(AdoptionTest, ACancelledCopyLeavesNothing) {
  std::atomic<bool> cancelled{true};
  auto wanted = adoption(Volumes::AdoptBy::kCopy);
  wanted.cancelled = &cancelled;
  auto adopted = volumes_->adopt(wanted);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, Code::kCancelled);
  expect_nothing();
}

TEST_F(AdoptionTest, OptionsAloneNeedNoFiles) {
  auto wanted = adoption(Volumes::AdoptBy::kMove);
  wanted.spec.options = {{"type", "tmpfs"}, {"device", "tmpfs"}};
  wanted.source = BorrowedFd{-1};
  ASSERT_TRUE(volumes_->adopt(wanted));
  EXPECT_EQ((*volumes_->get(kData))->options.at("type"), "tmpfs");
  EXPECT_TRUE(fs::exists(source_ / "_data/dir/file"));
  ASSERT_TRUE(volumes_->remove(kData));
  wanted.spec.options = {{"unheard", "of"}};
  EXPECT_EQ(volumes_->adopt(wanted).error().code, Code::kInvalidArgument);
}

TEST_F(AdoptionTest, ASymlinkInPlaceOfTheFilesIsNotFollowed) {
  fs::rename(source_ / "_data", source_ / "real");
  fs::create_symlink(source_ / "real", source_ / "_data");
  for (auto by : {Volumes::AdoptBy::kCopy, Volumes::AdoptBy::kMove}) {
    EXPECT_FALSE(volumes_->adopt(adoption(by)));
    EXPECT_FALSE(volumes_->get(kData));
    EXPECT_TRUE(fs::is_symlink(source_ / "_data"));
  }
}

// Whoever owns the source puts a symlink there at the last moment.
TEST_F(AdoptionTest, WhatWasPutInPlaceOfTheFilesMeanwhileGoesBack) {
  auto wanted = adoption(Volumes::AdoptBy::kMove);
  wanted.confirm = [&] {
    fs::rename(source_ / "_data", source_ / "real");
    fs::create_symlink("/etc", source_ / "_data");
    return Status();
  };
  auto adopted = volumes_->adopt(wanted);
  ASSERT_FALSE(adopted);
  EXPECT_THAT(adopted.error().message, HasSubstr("was replaced meanwhile"));
  EXPECT_EQ(fs::read_symlink(source_ / "_data"), "/etc");
  EXPECT_FALSE(volumes_->get(kData));
}

// The two moments at which a crash finds a move.
TEST_F(AdoptionTest, AnInterruptedMoveIsFinishedOrHasNotBegun) {
  ASSERT_TRUE(volumes_->adopt(adoption(Volumes::AdoptBy::kMove)));
  volumes_.reset();
  ASSERT_TRUE(store_->erase(RecordKind::kVolume, "data"));
  std::string staged = root_ + "/staging/adopt-0123456789abcdef";
  fs::rename(volume(""), staged);
  open();
  expect_whole();
  EXPECT_TRUE(volumes_->warnings().empty());
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));

  volumes_.reset();
  ASSERT_TRUE(store_->erase(RecordKind::kVolume, "data"));
  fs::rename(volume(""), staged);
  fs::rename(staged + "/_data", source_ / "_data");
  open();
  expect_nothing();
}

TEST_F(AdoptionTest, FilesThatFindNoPlaceAfterACrashStay) {
  ASSERT_TRUE(volumes_->adopt(adoption(Volumes::AdoptBy::kMove)));
  volumes_.reset();
  std::string staged = root_ + "/staging/adopt-0123456789abcdef";
  fs::copy(volume(""), staged, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  write(volume("_data/dir/file"), "another");
  open();
  ASSERT_EQ(volumes_->warnings().size(), 1U);
  EXPECT_THAT(volumes_->warnings()[0], HasSubstr(staged));
  EXPECT_EQ(*read_file(staged + "/_data/dir/file"), "content");
  EXPECT_EQ(*read_file(volume("_data/dir/file")), "another");
  volumes_.reset();
  fs::remove(staged + "/volume.json");
  open();
  EXPECT_EQ(volumes_->warnings().size(), 1U);
  EXPECT_EQ(*read_file(staged + "/_data/dir/file"), "content");
}

}  // namespace
}  // namespace holdfast
