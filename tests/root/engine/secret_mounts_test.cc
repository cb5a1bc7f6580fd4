#include "engine/secrets/secret_mounts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

class ROOT_SecretMounts : public ::testing::TestWithParam<SecretFileSystem> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    store_ = *Store::open(directory_ / "state.db");
    secrets_ = *Secrets::open(directory_ / "key", *store_);
  }
  void TearDown() override {
    secrets_.reset();
    store_.reset();
  }

  SecretReference reference(const std::string& content, const std::string& target) {
    auto made = *secrets_->create(fmt::format("s{}", ++count_), {}, content);
    return {made->id, made->name, target, 0, 0, 0444};
  }
  Result<SecretMounts> mount(const std::vector<SecretReference>& references) {
    return mount_secrets(references, *secrets_, directory_.path(), GetParam());
  }
  static std::string read(BorrowedFd root, const std::string& path) {
    auto file = open_file_at(root, path, O_RDONLY);
    return file ? read_all(*file).value_or("?") : file.error().message;
  }
  static long type_of(BorrowedFd fd) {
    struct statfs status = {};
    EXPECT_EQ(::fstatfs(fd.get(), &status), 0);
    return status.f_type;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Secrets> secrets_;
  int count_ = 0;
};

TEST_P(ROOT_SecretMounts, HoldFilesAsTheyWereAskedFor) {
  std::string large(300'000, 'x');
  auto a = reference("content", "/run/secrets/a");
  auto b = reference(large, "/run/secrets/deep/er/b");
  a.uid = 1000;
  a.gid = 7;
  a.mode = 0400;
  auto made = mount({a, b});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->mounts.size(), 1U);
  EXPECT_EQ(made->mounts[0].target, "/run/secrets");
  auto root = made->mounts[0].tree;
  EXPECT_EQ(read(root, "a"), "content");
  EXPECT_EQ(read(root, "deep/er/b"), large);
  struct stat status = {};
  ASSERT_EQ(::fstatat(root.get(), "a", &status, 0), 0);
  EXPECT_EQ(status.st_uid, 1000U);
  EXPECT_EQ(status.st_gid, 7U);
  EXPECT_EQ(status.st_mode, S_IFREG | 0400U);
  ASSERT_EQ(::fstatat(root.get(), "deep", &status, 0), 0);
  EXPECT_EQ(status.st_mode, S_IFDIR | 0755U);
  if (GetParam() == SecretFileSystem::kRamfs || type_of(root) != TMPFS_MAGIC) {
    EXPECT_EQ(type_of(root), RAMFS_MAGIC);
  }
}

TEST_P(ROOT_SecretMounts, CannotBeWritten) {
  auto made = mount({reference("content", "/run/secrets/a"), reference("x", "/etc/b")});
  ASSERT_TRUE(made) << made.error().message;
  for (const auto& mount : made->mounts) {
    bool directory = mount.target == kSecretsDirectory;
    auto opened = directory
                      ? open_file_at(mount.tree, "a", O_WRONLY)
                      : open_file(fmt::format("/proc/self/fd/{}", mount.tree.get()), O_WRONLY);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().sys_errno, EROFS) << mount.target;
  }
}

TEST_P(ROOT_SecretMounts, AFileElsewhereIsAMountOfItsOwn) {
  auto made = mount({reference("of a", "/etc/a"), reference("of b", "/run/secrets/b"),
                     reference("of c", "/srv/c")});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->mounts.size(), 3U);
  std::map<std::string, std::string> contents;
  for (const auto& mount : made->mounts) {
    contents[mount.target] = mount.target == kSecretsDirectory
                                 ? read(mount.tree, "b")
                                 : *read_file(fmt::format("/proc/self/fd/{}", mount.tree.get()));
  }
  EXPECT_EQ(contents, (std::map<std::string, std::string>{
                          {"/etc/a", "of a"}, {"/run/secrets", "of b"}, {"/srv/c", "of c"}}));
  // In the directory there is nothing but what belongs there.
  std::size_t names = 0;
  for (const auto& mount : made->mounts) {
    if (mount.target != kSecretsDirectory) continue;
    auto path = fmt::format("/proc/self/fd/{}", mount.tree.get());
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      EXPECT_EQ(entry.path().filename(), "b");
      ++names;
    }
  }
  EXPECT_EQ(names, 1U);
}

TEST_P(ROOT_SecretMounts, NothingIsMountedOnTheHost) {
  auto made = mount({reference("x", "/etc/a"), reference("y", "/run/secrets/b")});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(read_file("/proc/self/mountinfo")->find(directory_.path()), std::string::npos);
}

TEST_P(ROOT_SecretMounts, OneThatCannotBeOpenedFailsAll) {
  auto good = reference("x", "/run/secrets/a");
  auto gone = reference("y", "/run/secrets/b");
  secrets_->holders_restored();
  ASSERT_TRUE(secrets_->remove(gone.name, [](const HolderId& holder) { return holder.str(); }));
  auto made = mount({good, gone});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kNotFound);
  EXPECT_TRUE(mount({})->mounts.empty());
}

INSTANTIATE_TEST_SUITE_P(FileSystems, ROOT_SecretMounts,
                         ::testing::Values(SecretFileSystem::kProbe, SecretFileSystem::kRamfs));

}  // namespace
}  // namespace holdfast
