#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "fixture.h"

namespace holdfast::image {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// What goes wrong while an image is on its way.
class ROOT_PullFault : public RegistryTest {};

// The one file below `directory` with the most bytes: the biggest layer a registry keeps.
std::string largest_file(const std::string& directory) {
  std::string largest;
  std::uintmax_t size = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || entry.file_size() <= size) continue;
    size = entry.file_size();
    largest = entry.path();
  }
  return largest;
}

TEST_F(ROOT_PullFault, TamperedBlobIsRefused) {
  TestRegistry registry;
  registry.push({"busybox"});
  std::string blob = largest_file(registry.storage());
  // One bit in the middle; for the zstd and gzip forms alike.
  auto fd = open_file(blob, O_RDWR);
  char byte = 0;
  off_t middle = static_cast<off_t>(fs::file_size(blob) / 2);
  ASSERT_EQ(::pread(fd->get(), &byte, 1, middle), 1);
  byte = static_cast<char>(byte ^ 1);
  ASSERT_EQ(::pwrite(fd->get(), &byte, 1, middle), 1);
  int refused = 0;
  for (auto tag : {"gzip", "zstd", "uncompressed"}) {
    auto pulled = pull(registry.name(std::string("busybox:") + tag));
    if (pulled) continue;
    ++refused;
    EXPECT_EQ(pulled.error().code, Code::kDataLoss);
    EXPECT_THAT(pulled.error().message,
                HasSubstr("filesystem layer verification failed for digest sha256:"));
  }
  EXPECT_EQ(refused, 1);
  expect_clean();
}

TEST_F(ROOT_PullFault, BlobGoneFromTheRegistry) {
  TestRegistry registry;
  registry.push({"busybox"});
  fs::resize_file(largest_file(registry.storage()), 1000);
  int failed = 0;
  for (auto tag : {"gzip", "zstd", "uncompressed"}) {
    if (!pull(registry.name(std::string("busybox:") + tag))) ++failed;
  }
  EXPECT_EQ(failed, 1);
  expect_clean();
}

TEST_F(ROOT_PullFault, RegistryGoneHalfWay) {
  TestRegistry registry;
  registry.push({"manylayers"});
  std::string name = registry.name("manylayers:latest");
  std::atomic<int> complete{0};
  auto watch = [&](std::string_view json) {
    if (json.find("Pull complete") != json.npos && ++complete == 5) registry.stop();
  };
  auto pulled = images_->pull(name, {}, {}, watch, cancellation_);
  ASSERT_FALSE(pulled);
  // As the cut falls between two layers or into one.
  EXPECT_THAT(pulled.error().message,
              ::testing::AnyOf(HasSubstr("connection refused"), HasSubstr("EOF"),
                               HasSubstr("connection reset")));
  EXPECT_EQ(images_->count(), 0U);
  expect_clean();
}

TEST_F(ROOT_PullFault, CancelledHalfWay) {
  std::atomic<int> complete{0};
  auto watch = [&](std::string_view json) {
    if (json.find("Pull complete") != json.npos && ++complete == 5) cancellation_.cancel();
  };
  auto pulled = images_->pull(registry_->name("manylayers:latest"), {}, {}, watch, cancellation_);
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, Code::kCancelled);
  EXPECT_EQ(images_->count(), 0U);
  expect_clean();
}

// A file system of its own with little room.
class SmallDisk {
 public:
  SmallDisk(const std::string& directory, std::uintmax_t bytes) : mountpoint_(directory + "/disk") {
    std::string file = directory + "/disk.img";
    EXPECT_TRUE(open_file(file, O_WRONLY | O_CREAT, 0600));
    fs::resize_file(file, bytes);
    output_of({"mkfs.ext4", "-q", "-m", "0", file});
    EXPECT_TRUE(make_directories(mountpoint_, 0755));
    output_of({"mount", "-o", "loop", file, mountpoint_});
  }
  ~SmallDisk() { ::umount2(mountpoint_.c_str(), MNT_DETACH); }
  const std::string& path() const { return mountpoint_; }

 private:
  std::string mountpoint_;
};

TEST_F(ROOT_PullFault, FullDisk) {
  registry_->push({"debian"});
  SmallDisk disk(directory_.path(), 40 << 20);
  open(disk.path() + "/data");
  auto pulled = pull(registry_->name("debian:latest"));
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, Code::kResourceExhausted);
  EXPECT_THAT(pulled.error().message, HasSubstr("No space left on device"));
  EXPECT_EQ(images_->count(), 0U);
  expect_clean();
  // What there is room for still comes in, and goes again.
  ASSERT_TRUE(pull(registry_->name("busybox:latest")));
  EXPECT_TRUE(images_->remove(registry_->name("busybox:latest"), {}, nullptr));
  images_.reset();
  store_.reset();
}

// Whatever a killed pull leaves is gone after the next start, and a second start changes nothing.
TEST_F(ROOT_PullFault, KilledAtAnyMoment) {
  std::string name = registry_->name("whiteouts:latest");
  for (int moment = 0; moment < 12; ++moment) {
    images_.reset();
    store_.reset();
    pid_t child = ::fork();
    if (child == 0) {
      open(data_root_);
      int left = moment;
      auto watch = [&](std::string_view) {
        if (left-- == 0) ::kill(::getpid(), SIGKILL);
      };
      (void)images_->pull(name, {}, {}, watch, cancellation_);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    reopen();
    expect_clean();
    EXPECT_EQ(images_->count(), WIFSIGNALED(status) && images_->count() == 0 ? 0U : 1U);
  }
  ASSERT_TRUE(pull(name));
  reopen();
  expect_clean();
}

TEST_F(ROOT_PullFault, LayerWhoseDirectoryIsGoneIsFetchedAgain) {
  std::string name = registry_->name("busybox:latest");
  ASSERT_TRUE(pull(name));
  auto paths = *images_->layer_paths(images_->find(name)->id);
  images_.reset();
  fs::remove_all(paths[0]);
  reopen();
  EXPECT_EQ(images_->layer_paths(images_->find(name)->id).error().code, Code::kDataLoss);
  ASSERT_TRUE(images_->remove(name, {true, true}, nullptr));
  auto pulled = pull(name);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(run_in(name, {"/bin/echo", "back"}).out, "back\n");
}

}  // namespace
}  // namespace holdfast::image
