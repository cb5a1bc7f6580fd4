#include <fcntl.h>

#include "fixture.h"
#include "os/mount.h"

namespace holdfast {
namespace {

class ROOT_Overlay : public MountingTest, public testing::WithParamInterface<OverlayMethod> {};

TEST_P(ROOT_Overlay, TakesMoreLayersThanAnOptionStringHolds) {
  constexpr int kLayers = 120;
  std::vector<UniqueFd> layers;
  OverlayParts parts;
  for (int i = 0; i < kLayers; ++i) {
    std::string layer = directory_ / ("a-layer-with-a-name-of-sha256-length-" +
                                      std::string(40, 'x') + std::to_string(i));
    ASSERT_TRUE(make_directories(layer, 0755));
    ASSERT_TRUE(write_file_atomic(layer + "/file-" + std::to_string(i), "x", 0644, false));
    ASSERT_TRUE(write_file_atomic(layer + "/top", std::to_string(i), 0644, false));
    layers.push_back(*open_file(layer, O_PATH | O_DIRECTORY));
    parts.lower.push_back(layers.back());
  }
  for (const char* name : {"upper", "work", "merged"})
    ASSERT_TRUE(make_directories(directory_ / name, 0755));
  auto upper = *open_file(directory_ / "upper", O_PATH),
       work = *open_file(directory_ / "work", O_PATH);
  parts.upper = upper;
  parts.work = work;
  auto overlay = mount_overlay(parts, GetParam());
  ASSERT_TRUE(overlay) << overlay.error().message;
  auto merged = *open_file(directory_ / "merged", O_PATH);
  {
    auto guard = std::move(*overlay).attach(merged, "", directory_ / "merged");
    ASSERT_TRUE(guard) << guard.error().message;
    EXPECT_EQ(read_file(directory_ / "merged/top").value(), "0");
    EXPECT_TRUE(file_exists(directory_ / "merged/file-119"));
    ASSERT_TRUE(write_file_atomic(directory_ / "merged/new", "x", 0644, false));
    EXPECT_TRUE(file_exists(directory_ / "upper/new"));
    EXPECT_EQ(mounts(), 1u);
  }
  EXPECT_EQ(mounts(), 0u);
}

INSTANTIATE_TEST_SUITE_P(EveryMethod, ROOT_Overlay,
                         testing::Values(OverlayMethod::kProbe, OverlayMethod::kDescriptors,
                                         OverlayMethod::kNames, OverlayMethod::kOneString));

using ROOT_Mount = MountingTest;

TEST_F(ROOT_Mount, DetachedMountsVanishUnlessAttached) {
  auto detached = mount_filesystem("tmpfs", "tmpfs", {{"size", "1m"}});
  ASSERT_TRUE(detached) << detached.error().message;
  EXPECT_EQ(mounts(), 0u);
}

TEST_F(ROOT_Mount, AttributesHoldForTheWholeTree) {
  ASSERT_TRUE(make_directories(directory_ / "from/sub", 0755));
  ASSERT_TRUE(make_directories(directory_ / "to", 0755));
  auto sub = *open_file(directory_ / "from/sub", O_PATH);
  auto inner = mount_filesystem("tmpfs", "tmpfs", {}).value().attach(sub, "", "sub");
  auto tree = DetachedMount::clone(BorrowedFd(AT_FDCWD), directory_ / "from", true);
  ASSERT_TRUE(tree);
  MountAttributes attributes;
  attributes.read_only = true;
  attributes.recursive = true;
  ASSERT_TRUE(tree->set(attributes));
  auto guard = std::move(*tree).attach(BorrowedFd(AT_FDCWD), directory_ / "to", "to");
  ASSERT_TRUE(guard);
  for (const char* name : {"to/a", "to/sub/a"}) {
    auto file = open_file(directory_ / name, O_CREAT | O_WRONLY, 0644);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().sys_errno, EROFS) << name;
  }
  EXPECT_TRUE(open_file(directory_ / "from/sub/a", O_CREAT | O_WRONLY, 0644));
}

TEST_F(ROOT_Mount, ErrorsEndWithWhatTheKernelSays) {
  auto mount = mount_filesystem("tmpfs", "tmpfs", {{"size", "12q"}});
  ASSERT_FALSE(mount);
  EXPECT_NE(mount.error().message.find("Bad value for 'size'"), std::string::npos)
      << mount.error().message;
}

}  // namespace
}  // namespace holdfast
