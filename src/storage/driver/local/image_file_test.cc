#include "storage/driver/local/image_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kGiB = (1ULL << 30) / kExt4BlockSize;

TEST(ImageFile, HeadroomIsForThoseThatCannotGrowInUse) {
  EXPECT_EQ(planned_capacity(kGiB, true), kGiB);
  EXPECT_EQ(planned_capacity(1, true), kGiB / 16);
  EXPECT_EQ(planned_capacity(1, false), 4 * kGiB);
  EXPECT_EQ(planned_capacity(kGiB, false), 16 * kGiB);
  EXPECT_EQ(planned_capacity(128 * kGiB, false), 2048 * kGiB);
  EXPECT_EQ(planned_capacity(1000 * kGiB, false), 2048 * kGiB);
  EXPECT_EQ(planned_capacity(5000 * kGiB, false), 5000 * kGiB);
  EXPECT_EQ(planned_capacity(~0ULL / kExt4BlockSize, false), ~0ULL / kExt4BlockSize);
}

class MadeImage : public testing::TestWithParam<std::uint64_t> {};

INSTANTIATE_TEST_SUITE_P(Capacities, MadeImage,
                         testing::Values(kGiB / 16, kGiB / 16 + 1, kGiB - 1, kGiB, 5 * kGiB + 7,
                                         16 * kGiB, 300 * kGiB + 3));

TEST_P(MadeImage, HoldsWhatWasAskedForAndCostsLittle) {
  TemporaryDirectory directory;
  auto parent = *open_file(directory.path(), O_RDONLY | O_DIRECTORY);
  auto image = make_image(parent, "image", GetParam());
  ASSERT_TRUE(image) << image.error().message;
  auto superblock = read_ext4_superblock(*image);
  ASSERT_TRUE(superblock);
  EXPECT_GE(superblock->capacity(), GetParam());
  EXPECT_LE(superblock->capacity(), GetParam() + GetParam() / 8 + 32 * 1024);
  struct stat status = {};
  ASSERT_EQ(::fstat(image->get(), &status), 0);
  EXPECT_LE(status.st_blocks * 512, 2 * 1024 * 1024 + status.st_size / 4096);
  EXPECT_TRUE(*is_marked_touched(*image) || ::geteuid() != 0);
}

TEST(ImageFile, AGrownCopyIsSoundAndTheOldOneUntouched) {
  TemporaryDirectory directory;
  auto parent = *open_file(directory.path(), O_RDONLY | O_DIRECTORY);
  auto image = *make_image(parent, "image", kGiB / 16);
  auto before = *read_ext4_superblock(image);
  auto grown = grown_copy(image, parent, "grown", 40 * kGiB);
  ASSERT_TRUE(grown) << grown.error().message;
  EXPECT_TRUE(check_image(*grown));
  EXPECT_GE(read_ext4_superblock(*grown)->capacity(), 40 * kGiB);
  EXPECT_EQ(read_ext4_superblock(image)->blocks, before.blocks);
}

TEST(ImageFile, SaysWhatNoFileCanHold) {
  TemporaryDirectory directory;
  auto parent = *open_file(directory.path(), O_RDONLY | O_DIRECTORY);
  auto image = make_image(parent, "image", 1ULL << 50);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Code::kInvalidArgument) << image.error().message;
}

TEST(ImageFile, RefusesWhatIsNoImage) {
  TemporaryDirectory directory;
  auto file = *open_file(directory / "file", O_CREAT | O_RDWR, 0600);
  EXPECT_EQ(read_ext4_superblock(file).error().code, Code::kDataLoss);
  ASSERT_EQ(::ftruncate(file.get(), 1 << 20), 0);
  EXPECT_EQ(read_ext4_superblock(file).error().code, Code::kDataLoss);
  EXPECT_EQ(check_image(file).error().code, Code::kDataLoss);
}

}  // namespace
}  // namespace holdfast
