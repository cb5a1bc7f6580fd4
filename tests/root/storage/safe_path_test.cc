#include "os/safe_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "fixture.h"

namespace holdfast {
namespace {

using Open = Result<UniqueFd> (*)(BorrowedFd, const std::string&, Confine, int, unsigned);

// Swaps a directory with a symlink to the outside as fast as the kernel can, while the path through
// it is opened.
class ROOT_ExchangeRace : public testing::TestWithParam<Open> {
 protected:
  ROOT_ExchangeRace() {
    EXPECT_TRUE(make_directories(directory_ / "outside", 0755));
    EXPECT_TRUE(make_directories(directory_ / "root/real", 0755));
    std::ofstream(directory_ / "outside/file") << "outside";
    std::ofstream(directory_ / "root/real/file") << "inside";
    std::filesystem::create_directory_symlink(directory_ / "outside", directory_ / "root/link");
    swapper_ = std::thread([this] {
      std::string one = directory_ / "root/real", other = directory_ / "root/link";
      while (!stop_) ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
    });
  }
  ~ROOT_ExchangeRace() override {
    stop_ = true;
    swapper_.join();
  }

  TemporaryDirectory directory_;
  std::atomic<bool> stop_ = false;
  std::thread swapper_;
};

TEST_P(ROOT_ExchangeRace, NeverLeadsOutside) {
  auto root = *open_file(directory_ / "root", O_PATH | O_DIRECTORY);
  int inside = 0, refused = 0;
  for (int i = 0; i < 20000 || inside == 0 || refused == 0; ++i) {
    ASSERT_LT(i, 2000000) << "the race never showed both sides";
    auto file =
        GetParam()(root, "real/file", i % 2 ? Confine::kInRoot : Confine::kBeneath, O_RDONLY, 0);
    if (!file) {
      ++refused;
      continue;
    }
    ASSERT_EQ(read_all(*file).value(), "inside");
    ++inside;
  }
}

// By O_PATH even a symlink can be opened, and is followed by what is done with it.
TEST_P(ROOT_ExchangeRace, WhatIsFoundIsNoSymlink) {
  auto root = *open_file(directory_ / "root", O_PATH | O_DIRECTORY);
  int inside = 0;
  for (int i = 0; i < 20000 || inside == 0; ++i) {
    ASSERT_LT(i, 2000000) << "the race never showed the directory";
    auto found = GetParam()(root, "real", i % 2 ? Confine::kInRoot : Confine::kBeneath,
                            O_PATH | (i % 4 < 2 ? O_DIRECTORY : 0), 0);
    if (!found) continue;
    struct stat status = {};
    ASSERT_EQ(::fstat(found->get(), &status), 0);
    ASSERT_TRUE(S_ISDIR(status.st_mode));
    ++inside;
  }
}

TEST_P(ROOT_ExchangeRace, DirectoriesAreMadeInsideOnly) {
  auto root = *open_file(directory_ / "root", O_PATH | O_DIRECTORY);
  for (int i = 0; i < 5000; ++i)
    static_cast<void>(make_directories_confined(root, fmt::format("real/{}/deep", i % 50),
                                                i % 2 ? Confine::kInRoot : Confine::kBeneath));
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(directory_ / "outside"))
    ++entries;
  EXPECT_EQ(entries, 1u);
}

INSTANTIATE_TEST_SUITE_P(BothWays, ROOT_ExchangeRace,
                         testing::Values(&open_confined, &open_confined_by_walk));

}  // namespace
}  // namespace holdfast
