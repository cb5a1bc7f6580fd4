#include "storage/copy/tree_copy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>

#include "base/file.h"
#include "os/xattr.h"
#include "storage/copy/tree_remove.h"
#include "storage/copy/tree_size.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

class TreeCopyTest : public testing::Test {
 protected:
  TreeCopyTest() {
    EXPECT_TRUE(make_directories(from_, 0755));
    EXPECT_TRUE(make_directories(to_, 0755));
  }

  void write(const std::string& name, const std::string& text, mode_t mode = 0644) {
    std::ofstream(from_ + "/" + name) << text;
    ASSERT_EQ(::chmod((from_ + "/" + name).c_str(), mode), 0);
  }
  UniqueFd open(const std::string& path) { return *open_file(path, O_RDONLY | O_DIRECTORY); }
  Result<TreeCopyTotals> copy(const TreeCopyOptions& options = {}) {
    return copy_tree(open(from_), open(to_), options);
  }
  struct stat stat_of(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
  }
  std::string text_of(const std::string& path) { return read_file(path, 64 << 20).value_or("?"); }

  TemporaryDirectory directory_;
  std::string from_ = directory_ / "from";
  std::string to_ = directory_ / "to";
};

TEST_F(TreeCopyTest, KeepsModesTimesAndContents) {
  write("plain", "text");
  write("program", "#!", 04751);
  ASSERT_TRUE(make_directories(from_ + "/closed/inner", 0755));
  write("closed/inner/deep", std::string(300000, 'x'), 0600);
  timespec times[] = {{1000, 5}, {2000, 123456789}};
  for (const char* name : {"/plain", "/closed/inner", "/closed", ""})
    ASSERT_EQ(::utimensat(AT_FDCWD, (from_ + name).c_str(), times, 0), 0);
  ASSERT_EQ(::chmod((from_ + "/closed/inner").c_str(), 01711), 0);

  auto totals = copy();
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->files, 3u);
  EXPECT_EQ(totals->directories, 3u);
  EXPECT_EQ(totals->bytes, 300006u);
  EXPECT_EQ(text_of(to_ + "/plain"), "text");
  EXPECT_EQ(text_of(to_ + "/closed/inner/deep"), std::string(300000, 'x'));
  EXPECT_EQ(stat_of(to_ + "/program").st_mode & 07777, 04751u);
  EXPECT_EQ(stat_of(to_ + "/closed/inner").st_mode & 07777, 01711u);
  for (const char* name : {"/plain", "/closed/inner", "/closed", ""}) {
    EXPECT_EQ(stat_of(to_ + name).st_mtim.tv_sec, 2000) << name;
    EXPECT_EQ(stat_of(to_ + name).st_mtim.tv_nsec, 123456789) << name;
  }
}

TEST_F(TreeCopyTest, KeepsHardLinksAcrossDirectories) {
  write("first", "shared");
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(make_directories(from_ + "/d" + std::to_string(i), 0755));
    ASSERT_EQ(
        ::link((from_ + "/first").c_str(), (from_ + "/d" + std::to_string(i) + "/again").c_str()),
        0);
  }
  ASSERT_TRUE(copy({.threads = 4}));
  auto first = stat_of(to_ + "/first");
  EXPECT_EQ(first.st_nlink, 41u);
  for (int i = 0; i < 40; ++i)
    EXPECT_EQ(stat_of(to_ + "/d" + std::to_string(i) + "/again").st_ino, first.st_ino);
}

TEST_F(TreeCopyTest, KeepsSymlinksAsTheyAre) {
  ASSERT_EQ(::symlink("/etc/passwd", (from_ + "/absolute").c_str()), 0);
  ASSERT_EQ(::symlink("nowhere", (from_ + "/dangling").c_str()), 0);
  ASSERT_TRUE(copy());
  EXPECT_EQ(std::filesystem::read_symlink(to_ + "/absolute"), "/etc/passwd");
  EXPECT_EQ(std::filesystem::read_symlink(to_ + "/dangling"), "nowhere");
}

TEST_F(TreeCopyTest, KeepsHoles) {
  auto file = *open_file(from_ + "/sparse", O_CREAT | O_WRONLY, 0644);
  ASSERT_EQ(::pwrite(file.get(), "end", 3, 64 << 20), 3);
  ASSERT_EQ(::ftruncate(file.get(), 100 << 20), 0);
  ASSERT_TRUE(copy());
  auto copied = stat_of(to_ + "/sparse");
  EXPECT_EQ(copied.st_size, 100 << 20);
  EXPECT_LT(copied.st_blocks * 512, 1 << 20);
  auto reader = *open_file(to_ + "/sparse", O_RDONLY);
  char end[3];
  ASSERT_EQ(::pread(reader.get(), end, 3, 64 << 20), 3);
  EXPECT_EQ(std::string(end, 3), "end");
}

TEST_F(TreeCopyTest, KeepsFifosAndLeavesSocketsOut) {
  ASSERT_EQ(::mkfifo((from_ + "/fifo").c_str(), 0640), 0);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  (from_ + "/socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  auto totals = copy();
  ASSERT_TRUE(totals);
  EXPECT_TRUE(S_ISFIFO(stat_of(to_ + "/fifo").st_mode));
  EXPECT_EQ(stat_of(to_ + "/fifo").st_mode & 0777, 0640u);
  EXPECT_FALSE(file_exists(to_ + "/socket"));
  EXPECT_EQ(totals->left_out, 1u);
}

TEST_F(TreeCopyTest, KeepsUserAttributes) {
  write("file", "x");
  auto source = *open_file(from_ + "/file", O_RDONLY);
  if (!write_xattr(source, "", {"user.note", "kept"})) GTEST_SKIP() << "no user attributes here";
  ASSERT_TRUE(write_xattr(open(from_), "", {"user.root", "too"}));
  ASSERT_TRUE(copy());
  EXPECT_EQ(read_xattr(open(to_), "file", "user.note").value(), "kept");
  EXPECT_EQ(read_xattr(open(to_), "", "user.root").value(), "too");
}

TEST_F(TreeCopyTest, FlatDirectoryOfManyFilesIsComplete) {
  for (int i = 0; i < 1200; ++i) write("file-" + std::to_string(i), std::to_string(i));
  auto totals = copy({.threads = 4});
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->files, 1200u);
  for (int i = 0; i < 1200; ++i)
    ASSERT_EQ(text_of(to_ + "/file-" + std::to_string(i)), std::to_string(i));
}

TEST_F(TreeCopyTest, RefusesWhatIsThereAlready) {
  write("file", "new");
  std::ofstream(to_ + "/file") << "old";
  auto totals = copy();
  ASSERT_FALSE(totals);
  EXPECT_EQ(totals.error().code, Code::kAlreadyExists);
  EXPECT_NE(totals.error().message.find("\"file\""), std::string::npos);
  EXPECT_EQ(text_of(to_ + "/file"), "old");
}

TEST_F(TreeCopyTest, StopsWhenCancelled) {
  write("file", "x");
  std::atomic<bool> cancelled = true;
  auto totals = copy({.cancelled = &cancelled});
  ASSERT_FALSE(totals);
  EXPECT_EQ(totals.error().code, Code::kCancelled);
}

TEST_F(TreeCopyTest, SizeCountsEachFileOnce) {
  write("a", std::string(1000, 'x'));
  ASSERT_TRUE(make_directories(from_ + "/d", 0755));
  write("d/b", std::string(500, 'x'));
  ASSERT_EQ(::link((from_ + "/a").c_str(), (from_ + "/d/c").c_str()), 0);
  EXPECT_EQ(tree_size(open(from_)).value(), 1500u);
}

TEST_F(TreeCopyTest, RemovesTreesDeeperThanDescriptorsAllow) {
  auto current = open(from_);
  for (int i = 0; i < 1200; ++i) {
    ASSERT_EQ(::mkdirat(current.get(), "d", 0755), 0);
    current = UniqueFd(::openat(current.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(current.valid());
  }
  current.reset();
  ASSERT_TRUE(remove_tree(open(directory_.path()), "from"));
  EXPECT_FALSE(file_exists(from_));
}

TEST_F(TreeCopyTest, RemovalFollowsNoSymlinks) {
  std::ofstream(to_ + "/canary") << "alive";
  ASSERT_EQ(::symlink(to_.c_str(), (from_ + "/link").c_str()), 0);
  ASSERT_TRUE(remove_tree(open(directory_.path()), "from"));
  EXPECT_FALSE(file_exists(from_));
  EXPECT_EQ(text_of(to_ + "/canary"), "alive");
  ASSERT_TRUE(remove_contents(open(to_)));
  EXPECT_TRUE(file_exists(to_));
  EXPECT_FALSE(file_exists(to_ + "/canary"));
  EXPECT_TRUE(remove_tree(open(directory_.path()), "was-never-there"));
}

}  // namespace
}  // namespace holdfast
