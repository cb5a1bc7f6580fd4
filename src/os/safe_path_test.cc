#include "os/safe_path.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using Open = Result<UniqueFd> (*)(BorrowedFd, const std::string&, Confine, int, unsigned);

// Every case by openat2(2) and by the walk: they must agree.
class SafePathTest : public testing::TestWithParam<Open> {
 protected:
  SafePathTest() {
    char pattern[] = "/tmp/holdfast-path-XXXXXX";
    base_ = ::mkdtemp(pattern);
    fs::create_directories(base_ / "root/a/b");
    std::ofstream(base_ / "root/a/file") << "inside";
    std::ofstream(base_ / "outside") << "outside";
    fs::create_symlink("/a", base_ / "root/absolute");
    fs::create_symlink("../../outside", base_ / "root/up");
    fs::create_symlink("b/../file", base_ / "root/a/relative");
    fs::create_symlink("loop", base_ / "root/loop");
    fs::create_symlink("/proc/self/root", base_ / "root/magic");
    fs::create_symlink("/made/here", base_ / "root/dangling");
    root_ = *open_file((base_ / "root").string(), O_PATH | O_DIRECTORY);
  }
  ~SafePathTest() override { fs::remove_all(base_); }

  // What the path's file says, or the errno it fails with.
  std::string at(const std::string& path, Confine confine, int flags = O_RDONLY) {
    auto opened = GetParam()(root_, path, confine, flags, 0644);
    if (!opened) return std::to_string(opened.error().sys_errno);
    auto text = read_all(*opened);
    return text ? *text : "directory";
  }
  static std::string number(int value) { return std::to_string(value); }

  fs::path base_;
  UniqueFd root_;
};

TEST_P(SafePathTest, InRootTheDirectoryIsTheWholeWorld) {
  EXPECT_EQ(at("a/file", Confine::kInRoot), "inside");
  EXPECT_EQ(at("/a/file", Confine::kInRoot), "inside");
  EXPECT_EQ(at("../../../a/file", Confine::kInRoot), "inside");
  EXPECT_EQ(at("absolute/file", Confine::kInRoot), "inside");
  EXPECT_EQ(at("a/relative", Confine::kInRoot), "inside");
  EXPECT_EQ(at("up", Confine::kInRoot), number(ENOENT));
  EXPECT_EQ(at("magic/etc/passwd", Confine::kInRoot), number(ENOENT));
  for (const char* path : {"", ".", "/", "..", "a/..", "/../"})
    EXPECT_EQ(at(path, Confine::kInRoot), "directory") << path;
}

TEST_P(SafePathTest, BeneathLeadingOutIsAnError) {
  EXPECT_EQ(at("a/file", Confine::kBeneath), "inside");
  EXPECT_EQ(at("a/b/../file", Confine::kBeneath), "inside");
  EXPECT_EQ(at("a/relative", Confine::kBeneath), "inside");
  for (const char* path : {"/a/file", "..", "../root/a/file", "a/../../root", "up", "absolute/file",
                           "magic/etc/passwd"})
    EXPECT_EQ(at(path, Confine::kBeneath), number(EXDEV)) << path;
}

TEST_P(SafePathTest, FailsAsOpenDoes) {
  EXPECT_EQ(at("loop", Confine::kInRoot), number(ELOOP));
  EXPECT_EQ(at("none/file", Confine::kInRoot), number(ENOENT));
  EXPECT_EQ(at("a/file/x", Confine::kInRoot), number(ENOTDIR));
  EXPECT_EQ(at("a/file/", Confine::kInRoot), number(ENOTDIR));
  EXPECT_EQ(at("a/relative", Confine::kInRoot, O_RDONLY | O_NOFOLLOW), number(ELOOP));
  EXPECT_EQ(at(std::string("a\0b", 3), Confine::kInRoot), number(EINVAL));
}

TEST_P(SafePathTest, CreatesFilesInside) {
  auto made =
      GetParam()(root_, "absolute/new", Confine::kInRoot, O_CREAT | O_EXCL | O_WRONLY, 0600);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(fs::exists(base_ / "root/a/new"));
  EXPECT_FALSE(GetParam()(root_, "up", Confine::kInRoot, O_CREAT | O_EXCL | O_WRONLY, 0600));
}

INSTANTIATE_TEST_SUITE_P(BothWays, SafePathTest,
                         testing::Values(&open_confined, &open_confined_by_walk));

class MakeDirectoriesTest : public SafePathTest {};

TEST_P(MakeDirectoriesTest, MakesWhatIsMissingInside) {
  ASSERT_TRUE(make_directories_confined(root_, "/x/y/../z", Confine::kInRoot,
                                        {0750, ::getuid(), ::getgid()}));
  EXPECT_TRUE(fs::is_directory(base_ / "root/x/z"));
  EXPECT_EQ(fs::status(base_ / "root/x/z").permissions(), fs::perms(0750));
  ASSERT_TRUE(make_directories_confined(root_, "dangling/deep", Confine::kInRoot,
                                        {0755, ::getuid(), ::getgid()}));
  EXPECT_TRUE(fs::is_directory(base_ / "root/made/here/deep"));
  ASSERT_TRUE(make_directories_confined(root_, "../../escape", Confine::kInRoot,
                                        {0755, ::getuid(), ::getgid()}));
  EXPECT_TRUE(fs::is_directory(base_ / "root/escape"));
  EXPECT_FALSE(make_directories_confined(root_, "../escape", Confine::kBeneath));
  EXPECT_FALSE(make_directories_confined(root_, "a/file/x", Confine::kInRoot));
  EXPECT_FALSE(fs::exists(base_ / "escape"));
}

INSTANTIATE_TEST_SUITE_P(Once, MakeDirectoriesTest, testing::Values(&open_confined));

}  // namespace
}  // namespace holdfast
