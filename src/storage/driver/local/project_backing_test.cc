#include "storage/driver/local/project_backing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

// What XFS and ext4 mounted with prjquota answer, kept in memory: projects by inode, accounts by
// project. It charges a block for each inode, and hands projects on as they do.
class FakeQuota : public ProjectQuotaCalls {
 public:
  int attributes(int fd, unsigned long request, fsxattr& attributes) override {
    struct stat status = {};
    if (::fstat(fd, &status) != 0) return -1;
    auto& file = files_[status.st_ino];
    if (request == FS_IOC_FSGETXATTR) {
      attributes = file;
      return 0;
    }
    if (refuse_projects) return error(EOPNOTSUPP);
    move(file.fsx_projid, attributes.fsx_projid);
    file = attributes;
    return 0;
  }
  int quotactl(int, unsigned command, std::uint32_t id, void* argument) override {
    if (!mounted_with_quota) return error(ESRCH);
    if (command == static_cast<unsigned>(QCMD(Q_XGETQSTATV, PRJQUOTA))) {
      auto* state = static_cast<fs_quota_statv*>(argument);
      EXPECT_EQ(state->qs_version, FS_QSTATV_VERSION1);
      state->qs_flags = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
      return 0;
    }
    auto* quota = static_cast<fs_disk_quota*>(argument);
    if (command == static_cast<unsigned>(QCMD(Q_XGETQUOTA, PRJQUOTA))) {
      if (!accounts.contains(id)) return error(ENOENT);
      *quota = accounts[id];
      return 0;
    }
    EXPECT_EQ(command, static_cast<unsigned>(QCMD(Q_XSETQLIM, PRJQUOTA)));
    EXPECT_EQ(quota->d_id, id);
    EXPECT_EQ(quota->d_flags, FS_PROJ_QUOTA);
    EXPECT_EQ(quota->d_fieldmask, FS_DQ_BHARD | FS_DQ_BSOFT);
    if (!forgets_limits) accounts[id].d_blk_hardlimit = quota->d_blk_hardlimit;
    return 0;
  }

  // A directory that is made in one of a project gets that project; the tests say when.
  void inherit(const std::string& parent, const std::string& child) {
    files_[inode(child)] = files_[inode(parent)];
  }
  std::uint32_t project(const std::string& path) { return files_[inode(path)].fsx_projid; }
  bool hands_on(const std::string& path) {
    return (files_[inode(path)].fsx_xflags & FS_XFLAG_PROJINHERIT) != 0;
  }

  bool mounted_with_quota = true;
  bool refuse_projects = false;
  bool forgets_limits = false;
  std::map<std::uint32_t, fs_disk_quota> accounts;

 private:
  static int error(int number) {
    errno = number;
    return -1;
  }
  static ino_t inode(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
  }
  void move(std::uint32_t from, std::uint32_t to) {
    if (from != 0) --accounts[from].d_icount, accounts[from].d_bcount -= 8;
    if (to != 0) ++accounts[to].d_icount, accounts[to].d_bcount += 8;
  }

  std::map<ino_t, fsxattr> files_;
};

class ProjectBackingTest : public testing::Test {
 protected:
  SizedVolume volume(const std::string& name, std::uint64_t limit) {
    std::string path = directory_ / name;
    EXPECT_TRUE(make_directories(path, 0700));
    opened_.push_back(*open_file(path, O_PATH | O_DIRECTORY));
    return {name, opened_.back(), path + "/_data", limit};
  }
  std::uint32_t project(const std::string& name) {
    return fake_.project(directory_ / name + "/_data");
  }

  TemporaryDirectory directory_;
  FakeQuota fake_;
  ProjectQuota quota_{fake_};
  ProjectBacking backing_{quota_};
  std::vector<UniqueFd> opened_;
};

TEST_F(ProjectBackingTest, SuitsWhereQuotasOfProjectsHold) {
  EXPECT_TRUE(backing_.suits(volume("a", 0).directory));
  fake_.mounted_with_quota = false;
  EXPECT_FALSE(backing_.suits(volume("a", 0).directory));
}

TEST_F(ProjectBackingTest, VolumesHaveProjectsOfTheirOwnWithTheirLimits) {
  std::set<std::uint32_t> projects;
  for (int i = 0; i < 50; ++i) {
    auto one = volume("v" + std::to_string(i), 4096u * (1u + static_cast<unsigned>(i)));
    ASSERT_TRUE(backing_.create(one));
    EXPECT_TRUE(*backing_.has(one));
    auto id = project(one.name);
    EXPECT_TRUE(projects.insert(id).second) << "shared id " << id;
    EXPECT_TRUE(fake_.hands_on(one.target));
    EXPECT_EQ(fake_.accounts[id].d_blk_hardlimit * 512, one.limit);
  }
}

// Another daemon, Docker or an administrator has them.
TEST_F(ProjectBackingTest, IdsThatSomebodyUsesAreNotTaken) {
  class Crowded : public FakeQuota {
   public:
    int quotactl(int fd, unsigned command, std::uint32_t id, void* argument) override {
      bool asked = command == static_cast<unsigned>(QCMD(Q_XGETQUOTA, PRJQUOTA));
      if (asked && !accounts.contains(id) && ++asked_ < 20) {
        auto* quota = static_cast<fs_disk_quota*>(argument);
        *quota = {};
        (asked_ % 2 ? quota->d_blk_hardlimit : quota->d_icount) = 1;
        used.insert(id);
        return 0;
      }
      return FakeQuota::quotactl(fd, command, id, argument);
    }
    std::set<std::uint32_t> used;

   private:
    int asked_ = 0;
  } crowded;
  ProjectQuota quota(crowded);
  ProjectBacking backing(quota);
  auto one = volume("a", 8192);
  ASSERT_TRUE(backing.create(one));
  EXPECT_EQ(crowded.used.size(), 19u);
  EXPECT_FALSE(crowded.used.contains(crowded.project(one.target)));
}

TEST_F(ProjectBackingTest, LimitsAreReadBack) {
  fake_.forgets_limits = true;
  auto made = backing_.create(volume("a", 8192));
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("is 0 bytes, not 8192"), std::string::npos);
}

TEST_F(ProjectBackingTest, WhatCantBePutIntoAProjectIsNoSizedVolume) {
  fake_.refuse_projects = true;
  EXPECT_FALSE(backing_.create(volume("a", 8192)));
}

TEST_F(ProjectBackingTest, LimitAndUseAreTheProjects) {
  auto one = volume("a", 8192);
  ASSERT_TRUE(backing_.create(one));
  EXPECT_EQ(backing_.use(one)->bytes, 4096u);
  one.limit = 16384;
  ASSERT_TRUE(backing_.resize(one, true));
  EXPECT_EQ(fake_.accounts[project("a")].d_blk_hardlimit * 512, 16384u);
  one.limit = 4096;
  ASSERT_TRUE(backing_.mount(one)) << "what a crash left is put right";
  EXPECT_EQ(fake_.accounts[project("a")].d_blk_hardlimit * 512, 4096u);
}

TEST_F(ProjectBackingTest, FilesThatAreThereAreTakenIn) {
  auto one = volume("a", 1 << 20);
  ASSERT_TRUE(make_directories(one.target + "/deep/er", 0755));
  std::ofstream(one.target + "/deep/er/file") << "x";
  std::filesystem::create_symlink("nowhere", one.target + "/link");
  EXPECT_FALSE(*backing_.has(one));
  ASSERT_TRUE(backing_.adopt(one));
  EXPECT_TRUE(*backing_.has(one));
  auto id = project("a");
  for (const char* path : {"/deep", "/deep/er", "/deep/er/file"})
    EXPECT_EQ(fake_.project(one.target + path), id) << path;
  EXPECT_TRUE(fake_.hands_on(one.target + "/deep/er"));
}

TEST_F(ProjectBackingTest, RemovalGivesTheIdBack) {
  auto one = volume("a", 8192);
  ASSERT_TRUE(backing_.create(one));
  auto id = project("a");
  ASSERT_TRUE(dispose_of_project(quota_, one.directory, "_data"));
  EXPECT_EQ(fake_.accounts[id].d_blk_hardlimit, 0u);
  ASSERT_TRUE(dispose_of_project(quota_, one.directory, "_data")) << "again";
  ASSERT_TRUE(dispose_of_project(quota_, one.directory, "nothing"));
}

// Somebody may have put the whole data root into a project.
TEST_F(ProjectBackingTest, AnInheritedProjectIsNotTheVolumes) {
  auto one = volume("a", 8192);
  ASSERT_TRUE(make_directories(one.target, 0755));
  auto readable = *open_file(directory_ / "a", O_RDONLY | O_DIRECTORY);
  const std::uint32_t theirs = 1 << 21;
  ASSERT_TRUE(quota_.put_into(readable, theirs, true));
  ASSERT_TRUE(quota_.limit(readable, theirs, 1 << 30));
  fake_.inherit(directory_ / "a", one.target);
  EXPECT_FALSE(*backing_.has(one));
  ASSERT_TRUE(dispose_of_project(quota_, one.directory, "_data"));
  EXPECT_EQ(fake_.accounts[theirs].d_blk_hardlimit * 512, 1u << 30) << "left alone";
}

}  // namespace
}  // namespace holdfast
