#include "client/copy_paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace holdfast::client {
namespace {

namespace fs = std::filesystem;

TEST(CopyPaths, TellsContainersFromLocalPaths) {
  EXPECT_EQ(split_copy_argument("web:/etc/x").container, "web");
  EXPECT_EQ(split_copy_argument("web:/etc/x:y").path, "/etc/x:y");
  EXPECT_EQ(split_copy_argument("./web:x").container, "");
  EXPECT_EQ(split_copy_argument("/a:b").path, "/a:b");
  EXPECT_EQ(split_copy_argument("-").path, "-");
}

TEST(CopyPaths, SplitsKeepingTheDot) {
  EXPECT_EQ(split_path_entry("/a/b").directory, "/a");
  EXPECT_EQ(split_path_entry("/a/b/").base, "b");
  EXPECT_EQ(split_path_entry("/a/b/.").directory, "/a/b");
  EXPECT_EQ(split_path_entry("/a/b/.").base, ".");
  EXPECT_EQ(split_path_entry("x").directory, ".");
  EXPECT_EQ(split_path_entry("/").base, "/");
}

std::string plan(CopyEnd source, CopyEnd destination) {
  auto result = plan_copy(source, destination);
  if (!result) return result.error().message;
  return result->directory + "|" + result->rename(split_path_entry(source.path).base + "/f");
}

TEST(CopyPaths, PlansEachCaseAsDockerDoes) {
  CopyEnd directory{"/src/dir", true, true, ""};
  CopyEnd contents{"/src/dir/.", true, true, ""};
  CopyEnd file{"/src/file", true, false, ""};
  EXPECT_EQ(plan(directory, {"/dst", true, true, ""}), "/dst|dir/f");
  EXPECT_EQ(plan(contents, {"/dst", true, true, ""}), "/dst|./f");
  EXPECT_EQ(plan(directory, {"/dst/new", false, false, ""}), "/dst|new/f");
  EXPECT_EQ(plan(contents, {"/dst/new", false, false, ""}), "/dst|new/f");
  EXPECT_EQ(plan(directory, {"/dst/file", true, false, ""}), "cannot copy directory");
  EXPECT_EQ(plan(file, {"/dst/new/", false, false, ""}), "no such directory");
  auto renamed = plan_copy(file, {"/dst/other", true, false, ""});
  EXPECT_EQ(renamed->directory, "/dst");
  EXPECT_EQ(renamed->rename("file"), "other");
  EXPECT_EQ(renamed->rename("file2"), "file2");
}

class CopyPathsOnDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-copy-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directory(root_ / "dir");
    std::ofstream(root_ / "file") << "x";
    fs::create_directory_symlink("dir", root_ / "link");
  }
  void TearDown() override { fs::remove_all(root_); }
  fs::path root_;
};

TEST_F(CopyPathsOnDisk, SourcesFollowLinksWhenAskedOrTrailed) {
  EXPECT_FALSE(local_source(root_ / "link", false)->is_directory);
  EXPECT_TRUE(local_source(root_ / "link", true)->is_directory);
  EXPECT_EQ(local_source(root_ / "link", true)->rebase_name, "link");
  EXPECT_TRUE(local_source((root_ / "link").string() + "/", false)->is_directory);
  EXPECT_FALSE(local_source(root_ / "nope", false));
  EXPECT_FALSE(local_source((root_ / "file").string() + "/", false));
}

TEST_F(CopyPathsOnDisk, DestinationsAreResolved) {
  EXPECT_TRUE(local_destination(root_ / "link")->is_directory);
  EXPECT_FALSE(local_destination(root_ / "new")->exists);
  EXPECT_FALSE(local_destination(root_ / "no/new"));
}

}  // namespace
}  // namespace holdfast::client
