#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <random>

#include "base/file.h"
#include "engine/container_folders.h"
#include "os/xattr.h"
#include "storage/copy/directory_reader.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

using Tree = std::map<std::string, std::string>;  // path → content of a file, "/" of a directory

// Everything below an open directory, but devices, as a fill takes it.
void describe(BorrowedFd directory, const std::string& prefix, Tree& tree) {
  auto readable = *open_directory(directory, "");
  while (auto batch = *read_batch(readable)) {
    while (auto entry = batch->next()) {
      struct stat status = {};
      // A whiteout above nothing: overlayfs lists it, and says that there is none.
      if (::fstatat(directory.get(), entry->name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      std::string path = prefix + "/" + entry->name;
      if (S_ISDIR(status.st_mode)) {
        tree[path] = "/";
        describe(*open_directory(directory, entry->name), path, tree);
      } else if (S_ISREG(status.st_mode)) {
        tree[path] = *read_all(*open_file_at(directory, entry->name, O_RDONLY));
      }
    }
  }
}

Tree describe(BorrowedFd directory) {
  Tree tree;
  describe(directory, "", tree);
  return tree;
}

class ROOT_ImageRoot : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  // A layer as unpacking leaves it: some of a few names, with overlayfs's marks.
  void make_layer(const std::string& path, int depth) {
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
    for (const char* name : {"a", "b"}) {
      std::string inside = path + "/" + name;
      switch (random_() % 6) {
        case 0:
          ASSERT_TRUE(write_file_atomic(inside, std::to_string(random_()), 0644, false));
          break;
        case 1:
          ASSERT_EQ(::mknod(inside.c_str(), S_IFCHR, makedev(0, 0)), 0);
          break;
        case 2:
        case 3:
        case 4:
          if (depth == 0) break;
          make_layer(inside, depth - 1);
          if (random_() % 3 != 0) break;
          ASSERT_TRUE(
              write_xattr(*open_file(inside, O_RDONLY), "", {"trusted.overlay.opaque", "y"}));
          break;
        default:
          break;
      }
    }
  }

  TemporaryDirectory directory_;
  std::mt19937 random_{std::random_device()()};
};

// The kernel's own view of the same layers says what each directory holds.
TEST_F(ROOT_ImageRoot, ContentOfASoleLayerIsWhatTheOverlayShows) {
  int sole = 0, merged = 0;
  for (int round = 0; round < 150; ++round) {
    std::vector<std::string> layers;
    for (int i = 0; i < 3; ++i) {
      layers.push_back(directory_ / (std::to_string(round) + "-" + std::to_string(i)));
      ASSERT_NO_FATAL_FAILURE(make_layer(layers.back(), 3));
    }
    auto image = ImageRoot::open(layers);
    ASSERT_TRUE(image) << image.error().message;
    struct stat overlay = {};
    ASSERT_EQ(::fstat(image->fd().get(), &overlay), 0);
    auto all = describe(image->fd());
    all["/"] = "/";
    for (const auto& [path, content] : all) {
      if (content != "/") continue;
      auto shown = open_file_at(image->fd(), "." + path, O_RDONLY | O_DIRECTORY);
      auto opened = image->open_content(path);
      ASSERT_TRUE(shown && opened) << path;
      EXPECT_EQ(describe(*opened), describe(*shown)) << layers[0] << " " << path;
      struct stat status = {};
      ASSERT_EQ(::fstat(opened->get(), &status), 0);
      ++(status.st_dev == overlay.st_dev ? merged : sole);
    }
  }
  EXPECT_GT(sole, 100);
  EXPECT_GT(merged, 100);
}

TEST_F(ROOT_ImageRoot, SymlinksOfTheImageLeadToTheLayerThatHasTheContent) {
  auto upper = directory_ / "upper", lower = directory_ / "lower";
  ASSERT_TRUE(make_directories(upper, 0755));
  ASSERT_TRUE(make_directories(lower + "/srv/data", 0755));
  ASSERT_EQ(::symlink("/srv/data", (upper + "/data").c_str()), 0);
  auto image = ImageRoot::open({upper, lower});
  ASSERT_TRUE(image);
  auto opened = image->open_content("/data");
  ASSERT_TRUE(opened) << opened.error().message;
  struct stat here = {}, there = {};
  ASSERT_EQ(::fstat(opened->get(), &here), 0);
  ASSERT_EQ(::stat((lower + "/srv/data").c_str(), &there), 0);
  EXPECT_EQ(here.st_ino, there.st_ino);
  EXPECT_EQ(here.st_dev, there.st_dev);
}

}  // namespace
}  // namespace holdfast
