#include "runtime/user_lookup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class UserLookupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-user-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    fs::create_directories(directory_ + "/root/etc");
    root_ = *open_file(directory_ + "/root", O_PATH | O_DIRECTORY);
  }
  void TearDown() override { fs::remove_all(directory_); }

  void write(const std::string& path, const std::string& text) {
    ASSERT_TRUE(write_file_atomic(directory_ + "/" + path, text, 0644, false));
  }
  void write_usual() {
    write("root/etc/passwd",
          "root:x:0:0:root:/root:/bin/sh\n# comment\n\nbroken\n"
          "postgres:x:999:998:,,,:/var/lib/postgresql:/bin/bash\n77:x:5:6::/five:/bin/sh\n");
    write("root/etc/group",
          "root:x:0:\npostgres:x:998:\nssl:x:101:other,postgres\nwheel:x:10:root\n");
  }
  std::string message(const std::string& user, const std::vector<std::string>& add = {}) {
    auto result = resolve_user(user, add, root_);
    if (result) return "";
    EXPECT_EQ(result.error().code, Code::kInvalidArgument);
    return result.error().message;
  }

  std::string directory_;
  UniqueFd root_;
};

TEST_F(UserLookupTest, NamesAndNumbers) {
  write_usual();
  auto by_name = resolve_user("postgres", {}, root_);
  ASSERT_TRUE(by_name) << by_name.error().message;
  EXPECT_EQ(by_name->uid, 999U);
  EXPECT_EQ(by_name->gid, 998U);
  EXPECT_EQ(by_name->home, "/var/lib/postgresql");
  EXPECT_EQ(by_name->additional_gids, std::vector<std::uint32_t>{101});
  EXPECT_EQ(resolve_user("999", {}, root_)->gid, 998U);
  auto nobody = resolve_user("", {}, root_);
  EXPECT_EQ(nobody->uid, 0U);
  EXPECT_EQ(nobody->home, "/root");
  EXPECT_EQ(nobody->additional_gids, std::vector<std::uint32_t>{10});
  auto unlisted = resolve_user("4000", {}, root_);
  EXPECT_EQ(unlisted->uid, 4000U);
  EXPECT_EQ(unlisted->gid, 0U);
  EXPECT_EQ(unlisted->home, "/");
  EXPECT_EQ(resolve_user("77", {}, root_)->uid, 5U);  // a name that looks like a number
}

TEST_F(UserLookupTest, GroupsAskedFor) {
  write_usual();
  auto both = resolve_user("postgres:ssl", {}, root_);
  EXPECT_EQ(both->gid, 101U);
  EXPECT_TRUE(both->additional_gids.empty());
  EXPECT_EQ(resolve_user("1:2", {}, root_)->gid, 2U);
  auto added = resolve_user("postgres", {"wheel", "555", "ssl"}, root_);
  EXPECT_EQ(added->additional_gids, (std::vector<std::uint32_t>{101, 10, 555}));
}

TEST_F(UserLookupTest, SpeaksAsDockerDoes) {
  write_usual();
  EXPECT_EQ(message("nosuch"), "unable to find user nosuch: no matching entries in passwd file");
  EXPECT_EQ(message("root:nosuch"),
            "unable to find group nosuch: no matching entries in group file");
  EXPECT_EQ(message("root", {"nosuch"}),
            "unable to find group nosuch: no matching entries in group file");
  EXPECT_EQ(message("4294967296"), "uids and gids must be in range 0-2147483647");
  EXPECT_EQ(message("-1"), "unable to find user -1: no matching entries in passwd file");
}

TEST_F(UserLookupTest, ImageMayHaveNoFiles) {
  EXPECT_EQ(resolve_user("12:34", {"56"}, root_)->gid, 34U);
  EXPECT_EQ(resolve_user("", {}, root_)->uid, 0U);
  EXPECT_EQ(message("postgres"),
            "unable to find user postgres: no matching entries in passwd file");
}

TEST_F(UserLookupTest, LinksLeadNowhereOutside) {
  write("passwd", "secret:x:1:1::/:/bin/sh\n");
  fs::create_symlink("../../passwd", directory_ + "/root/etc/passwd");
  EXPECT_NE(message("secret"), "");
  fs::remove(directory_ + "/root/etc/passwd");
  fs::create_symlink(directory_ + "/passwd", directory_ + "/root/etc/passwd");
  EXPECT_NE(message("secret"), "");
  // Within the image they are followed, as the image's own programs would.
  fs::remove(directory_ + "/root/etc/passwd");
  fs::create_directories(directory_ + "/root/usr");
  write("root/usr/passwd", "inside:x:7:7::/:/bin/sh\n");
  fs::create_symlink("/usr/passwd", directory_ + "/root/etc/passwd");
  EXPECT_EQ(resolve_user("inside", {}, root_)->uid, 7U);
}

TEST_F(UserLookupTest, FifoDoesNotBlock) {
  ASSERT_EQ(::mkfifo((directory_ + "/root/etc/passwd").c_str(), 0644), 0);
  EXPECT_EQ(message("root"), "\"etc/passwd\" is not a regular file");
}

}  // namespace
}  // namespace holdfast
