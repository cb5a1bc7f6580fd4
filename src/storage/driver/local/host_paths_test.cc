#include "storage/driver/local/host_paths.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "os/safe_path.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class HostPathsTest : public testing::Test {
 protected:
  HostPathsTest() {
    std::filesystem::create_directories(in_ + "/sub");
    std::filesystem::create_directories(out_);
    std::filesystem::create_directory_symlink(out_, in_ + "/link");
    std::ofstream(in_ + "/file") << "x";
  }

  // The judgement of one who may have what lies below in_.
  Error judged(const VolumeOptions& options) {
    auto judge = [&](BorrowedFd opened, const std::string& asked) -> Status {
      asked_.push_back(asked);
      auto path = path_of(opened);
      if (path && path->starts_with(in_)) return {};
      return fail(Code::kPermissionDenied, "not yours: {}", asked);
    };
    auto mount = parse_local_mount(options);
    EXPECT_TRUE(mount) << mount.error().message;
    auto status = judge_host_paths(*mount, judge, 10s);
    return status ? Error{} : status.error();
  }
  bool allowed(const VolumeOptions& options) { return judged(options).message.empty(); }
  bool refused(const VolumeOptions& options) {
    return judged(options).code == Code::kPermissionDenied;
  }
  static VolumeOptions options(const std::string& type, const std::string& device,
                               const std::string& o = "") {
    return {{"type", type}, {"device", device}, {"o", o}};
  }

  TemporaryDirectory directory_;
  std::string in_ = *path_of(*open_file(directory_.path(), O_PATH)) + "/in";
  std::string out_ = directory_ / "out";
  std::vector<std::string> asked_;
};

TEST_F(HostPathsTest, WhereNobodyJudgesAllIsAllowed) {
  auto mount = parse_local_mount(options("none", "/", "bind"));
  EXPECT_TRUE(judge_host_paths(*mount, {}, 10s));
  EXPECT_TRUE(judge_host_paths(*parse_local_mount(options("proc", "proc")), {}, 10s));
}

TEST_F(HostPathsTest, DevicesAreJudgedByWhereTheyLead) {
  EXPECT_TRUE(allowed(options("none", in_ + "/sub", "bind")));
  EXPECT_TRUE(allowed(options("ext4", in_ + "/file")));
  EXPECT_EQ(asked_, (std::vector<std::string>{in_ + "/sub", in_ + "/file"}));
  EXPECT_TRUE(refused(options("none", out_, "bind")));
  EXPECT_TRUE(refused(options("", in_ + "/link", "rbind,ro")));
  EXPECT_TRUE(refused(options("bind", in_ + "/../out")));
  EXPECT_TRUE(refused(options("xfs", in_ + "/link")));
  EXPECT_TRUE(refused(options("ext4", "dev/sda"))) << "whatever the working directory is";
}

TEST_F(HostPathsTest, WhatIsMissingIsTheMountsBusiness) {
  EXPECT_TRUE(allowed(options("none", in_ + "/missing", "bind")));
  EXPECT_TRUE(allowed(options("none", out_ + "/missing/x", "bind")));
}

TEST_F(HostPathsTest, EachPathAmongTheOptionsIsJudged) {
  std::string sub = in_ + "/sub", link = in_ + "/link";
  auto layers = [&](const std::string& lower, const std::string& upper, const std::string& work) {
    return options("overlay", "x", "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work);
  };
  EXPECT_TRUE(allowed(layers(sub + ":" + in_, sub, sub)));
  EXPECT_TRUE(refused(layers(sub + ":" + link, sub, sub)));
  EXPECT_TRUE(refused(layers(link + ":" + sub, sub, sub)));
  EXPECT_TRUE(refused(layers(sub, link, sub)));
  EXPECT_TRUE(refused(layers(sub, sub, link)));
  EXPECT_TRUE(allowed(options("sshfs", "host:/", "IdentityFile=" + in_ + "/file")));
  EXPECT_TRUE(refused(options("sshfs", "host:/", "IdentityFile=" + link)));
  EXPECT_TRUE(refused(options("ext4", in_ + "/file", "journal_path=" + link)));
  EXPECT_TRUE(refused(options("cifs", "//host/share", "credentials=" + link)));
}

TEST_F(HostPathsTest, ServersAreNoPaths) {
  EXPECT_TRUE(allowed(options("nfs", ":/export", "addr=10.0.0.9")));
  EXPECT_TRUE(allowed(options("tmpfs", out_)));
  EXPECT_TRUE(allowed(options("fuse.sshfs", "host:/data")));
  EXPECT_TRUE(asked_.empty());
}

TEST_F(HostPathsTest, WhatNobodyCanTellIsRefused) {
  for (const char* type : {"proc", "devtmpfs", "sysfs", "fuse.bindfs", "fuse.mergerfs",
                           "fuse.rclone", "nosuchfs", "exfat-fuse"})
    EXPECT_TRUE(refused(options(type, in_ + "/sub"))) << type;
  EXPECT_NE(judged(options("proc", in_)).message.find("type \"proc\" is not possible"),
            std::string::npos);
}

}  // namespace
}  // namespace holdfast
