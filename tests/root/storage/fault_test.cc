#include <fcntl.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/random.h"
#include "fixture.h"
#include "storage/copy/tree_remove.h"
#include "storage/driver/local/local_driver.h"
#include "storage/volume/volumes.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// What the child tells before and after each operation, in one write(2) each: "begin create v7",
// "done create v7".
struct Progress {
  std::map<std::string, std::string> acknowledged;  // name → the last operation that returned
  std::map<std::string, std::string> under_way;
};

Progress parse(const std::string& text) {
  Progress progress;
  std::istringstream lines(text);
  std::string phase, operation, name;
  while (lines >> phase >> operation >> name) {
    progress.under_way.erase(name);
    if (phase == "begin")
      progress.under_way[name] = operation;
    else
      progress.acknowledged[name] = operation;
  }
  return progress;
}

// Creates, fills, grows (where they have a size) and removes volumes until it is killed.
[[noreturn]] void churn(const std::string& root, const std::string& source,
                        const VolumeOptions& options, int report) {
  auto store = Store::open(root + "/state.db");
  if (!store) ::_exit(2);
  auto opened = Volumes::open(root, **store);
  if (!opened) ::_exit(3);
  auto& volumes = **opened;
  volumes.holders_restored();
  auto tell = [&](const char* phase, const char* operation, const std::string& name) {
    std::string line = fmt::format("{} {} {}\n", phase, operation, name);
    if (::write(report, line.data(), line.size()) < 0) ::_exit(4);
  };
  auto from = *open_file(source, O_RDONLY | O_DIRECTORY);
  auto directories = *VolumeDirectories::open(root);
  LocalDriver driver(directories);
  auto grow = [&](const VolumeName& name) {
    auto volume = volumes.get(name);
    if (!volume) return false;
    auto to = **volume;
    to.options["size"] = "5g";
    return driver.update(**volume, to, *directories.open_volume(name), false).has_value();
  };
  for (unsigned i = 0;; ++i) {
    VolumeName name("v" + std::to_string(i % 7));
    auto perform = [&](const char* operation, auto act) {
      tell("begin", operation, name.str());
      if (act()) tell("done", operation, name.str());
    };
    perform("create", [&] { return volumes.create({name.str(), "", options, {}}).has_value(); });
    perform("fill", [&] { return volumes.populate(name, from).has_value(); });
    if (i % 2 == 0 && !options.empty()) perform("grow", [&] { return grow(name); });
    if (i % 3 == 0) perform("remove", [&] { return volumes.remove(name).has_value(); });
  }
}

// Of plain volumes, and of those with a size limit on either backing this machine has.
class ROOT_Crash : public MountingTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    MountingTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(make_directories(root_, 0700));
    if (std::string_view(GetParam()) != "plain") options_ = {{"size", "8m"}};
    if (std::string_view(GetParam()) == "btrfs")
      mount_image(make_image("disk", 640, {"mkfs.btrfs", "-q"}), "btrfs", root_);
    ASSERT_TRUE(make_directories(source_, 0755));
    for (std::size_t i = 0; i < kFiles; ++i) std::ofstream(source_ + "/f" + std::to_string(i)) << i;
  }

  Progress run_and_kill(std::chrono::microseconds after) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd reader(ends[0]), writer(ends[1]);
    pid_t child = ::fork();
    if (child == 0) churn(root_, source_, options_, writer.get());
    writer.reset();
    // The moment of the kill is the point of the test, not a wait for something.
    auto until = std::chrono::steady_clock::now() + after;
    std::string text;
    char buffer[4096];
    EXPECT_EQ(::fcntl(reader.get(), F_SETFL, O_NONBLOCK), 0);
    while (std::chrono::steady_clock::now() < until) {
      ssize_t count = ::read(reader.get(), buffer, sizeof buffer);
      if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_EQ(::fcntl(reader.get(), F_SETFL, 0), 0);
    text += read_all(reader).value_or("");
    return parse(text);
  }

  void check(const Progress& progress) {
    auto store = Store::open(root_ + "/state.db");
    ASSERT_TRUE(store) << store.error().message;
    auto volumes = Volumes::open(root_, **store);
    ASSERT_TRUE(volumes) << volumes.error().message;
    for (const auto& warning : (*volumes)->warnings()) ADD_FAILURE() << warning;
    for (const auto& [name, operation] : progress.acknowledged) {
      bool there = (*volumes)->get(VolumeName(name)).has_value();
      if (progress.under_way.contains(name)) continue;
      EXPECT_EQ(there, operation != "remove") << name << " after " << operation;
    }
    auto listed = (*volumes)->list();
    for (const auto& volume : listed) {
      auto mounted = (*volumes)->mount(volume->name, HolderId("check"));
      ASSERT_TRUE(mounted) << volume->name.str() << ": " << mounted.error().message;
      std::size_t files = 0;
      for ([[maybe_unused]] const auto& entry : fs::directory_iterator(volume->mountpoint)) ++files;
      mounted->root.reset();
      ASSERT_TRUE((*volumes)->unmount(volume->name, HolderId("check")));
      EXPECT_TRUE(files == 0 || files == kFiles)
          << volume->name.str() << " has " << files << " files";
      auto done = progress.acknowledged.find(volume->name.str());
      bool idle = !progress.under_way.contains(volume->name.str());
      if (!idle || done == progress.acknowledged.end() || done->second == "create") continue;
      EXPECT_EQ(files, kFiles) << volume->name.str();
    }
    std::size_t directories = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(root_ + "/volumes"))
      ++directories;
    EXPECT_EQ(directories, listed.size());
  }

  static constexpr std::size_t kFiles = 40;
  VolumeOptions options_;
  std::string root_ = directory_ / "root";
  std::string source_ = directory_ / "source";
};

INSTANTIATE_TEST_SUITE_P(Kinds, ROOT_Crash, testing::Values("plain", "image", "btrfs"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ROOT_Crash, KilledAtAnyMomentEverythingIsAllOrNothing) {
  auto seed = std::random_device()();
  std::mt19937 random(seed);
  // Microseconds: images take longer to make.
  const unsigned kLongest = std::string_view(GetParam()) == "image" ? 1500000 : 150000;
  const int rounds = std::string_view(GetParam()) == "image" ? 30 : 60;
  int interrupted = 0;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(fmt::format("seed {} round {}", seed, round));
    auto progress = run_and_kill(std::chrono::microseconds(random() % kLongest));
    interrupted += progress.under_way.empty() || progress.acknowledged.empty() ? 0 : 1;
    check(progress);
    if (HasFailure()) return;
  }
  // Otherwise little was tried: the child died by itself, or was killed before it began, as it is
  // now and then where the machine has much to do.
  EXPECT_GT(interrupted, rounds / 10);
}

class ROOT_FullDisk : public MountingTest {
 protected:
  void SetUp() override {
    MountingTest::SetUp();
    if (IsSkipped()) return;
    auto image = make_ext4("image", 32);
    ASSERT_TRUE(make_directories(root_, 0700));
    mount_image(image, "ext4", root_);
    store_ = *Store::open(root_ + "/state.db");
    volumes_ = *Volumes::open(root_, *store_);
    volumes_->holders_restored();
  }
  void TearDown() override {
    volumes_.reset();
    store_.reset();
    MountingTest::TearDown();
  }
  // Until not one byte more goes in.
  void fill_disk(const std::string& path) {
    auto file = *open_file(path, O_CREAT | O_WRONLY, 0600);
    std::string block(1 << 16, 'x');
    while (!block.empty()) {
      while (::write(file.get(), block.data(), block.size()) ==
             static_cast<ssize_t>(block.size())) {
      }
      block.resize(block.size() / 2);
    }
    ::fsync(file.get());
  }

  std::string root_ = directory_ / "full";
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
};

TEST_F(ROOT_FullDisk, CreationFailsCleanlyAndRemovalMakesRoom) {
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(volumes_->create({"v" + std::to_string(i), "", {}, {}}));
  fill_disk(root_ + "/volumes/v0/_data/big");
  int failed = 0;
  for (int i = 0; i < 50; ++i) {
    auto name = "new" + std::to_string(i);
    auto made = volumes_->create({name, "", {}, {}});
    if (made) continue;
    ++failed;
    EXPECT_EQ(made.error().code, Code::kResourceExhausted) << made.error().message;
    EXPECT_FALSE(file_exists(root_ + "/volumes/" + name));
    EXPECT_FALSE(volumes_->get(VolumeName(name)));
  }
  EXPECT_GT(failed, 0);
  auto removed = volumes_->remove(VolumeName("v1"));
  EXPECT_TRUE(removed) << removed.error().message;
  auto pruned = volumes_->prune([](const Volume&) { return true; });
  ASSERT_TRUE(pruned);
  EXPECT_TRUE(pruned->failures.empty()) << pruned->failures[0];
  EXPECT_TRUE(volumes_->list().empty());
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Result<Volumes::Created> made = fail(Code::kInternal, "not tried");
  while (!made && std::chrono::steady_clock::now() < deadline)
    made = volumes_->create({"again", "", {}, {}});
  EXPECT_TRUE(made) << made.error().message;
}

TEST_F(ROOT_FullDisk, FillThatFindsNoRoomLeavesTheVolumeEmpty) {
  ASSERT_TRUE(volumes_->create({"data", "", {}, {}}));
  std::string source = directory_ / "source";
  ASSERT_TRUE(make_directories(source, 0755));
  std::ofstream(source + "/small") << "x";
  std::ofstream(source + "/large") << std::string(64 << 20, 'x');
  auto filled = volumes_->populate(VolumeName("data"), *open_file(source, O_RDONLY));
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().code, Code::kResourceExhausted) << filled.error().message;
  EXPECT_TRUE(fs::is_empty(root_ + "/volumes/data/_data"));
  fs::remove(source + "/large");
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!filled && std::chrono::steady_clock::now() < deadline)
    filled = volumes_->populate(VolumeName("data"), *open_file(source, O_RDONLY));
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_TRUE(file_exists(root_ + "/volumes/data/_data/small"));
}

}  // namespace
}  // namespace holdfast
