#include "fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "os/mount.h"
#include "storage/layer/layers.h"

namespace holdfast::image {

namespace fs = std::filesystem;

TemporaryDirectory::TemporaryDirectory() {
  char name[] = "/tmp/holdfast-image-XXXXXX";
  CHECK(::mkdtemp(name) != nullptr);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string output_of(std::vector<std::string> argv) {
  ProcessOptions options;
  options.argv = argv;
  auto output = run_command(options, {}, std::chrono::minutes(5));
  EXPECT_TRUE(output) << argv[0] << ": " << output.error().message;
  if (!output) return {};
  EXPECT_TRUE(output->status.success()) << fmt::format("{}", fmt::join(argv, " ")) << output->err;
  while (output->out.ends_with('\n')) output->out.pop_back();
  return output->out;
}

namespace {
const std::string kScripts = std::string(HOLDFAST_SOURCE_DIR) + "/tests/images/";
}

std::string image_cache() {
  static const std::string where = output_of({kScripts + "build.sh", "--where"});
  return where;
}

TestRegistry::TestRegistry(const std::string& credentials) : credentials_(credentials) {
  std::vector<std::string> argv = {kScripts + "registry.sh",   "start",     "--pidfile",
                                   directory_.path() + "/pid", "--storage", storage()};
  if (!credentials.empty()) argv.insert(argv.end(), {"--auth", credentials});
  address_ = output_of(argv);
}

TestRegistry::~TestRegistry() { stop(); }

void TestRegistry::stop() {
  output_of({kScripts + "registry.sh", "stop", "--pidfile", directory_.path() + "/pid"});
}

void TestRegistry::push(const std::vector<std::string>& names) {
  std::vector<std::string> argv = {kScripts + "registry.sh", "push", "--to", address_};
  if (!credentials_.empty()) argv.insert(argv.end(), {"--creds", credentials_});
  argv.insert(argv.end(), names.begin(), names.end());
  output_of(argv);
}

void ImageTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  open(directory_.path() + "/data");
}

void ImageTest::open(const std::string& data_root) {
  data_root_ = data_root;
  images_.reset();
  store_.reset();
  ASSERT_TRUE(make_directories(data_root, 0700));
  auto store = Store::open(data_root + "/state.db");
  ASSERT_TRUE(store) << store.error().message;
  store_ = *std::move(store);
  Options options;
  options.data_root = data_root;
  options.exec_root = directory_.path() + "/run";
  auto images = Images::open(options, *store_);
  ASSERT_TRUE(images) << images.error().message;
  images_ = *std::move(images);
  images_->on_event(
      [this](const Event& event) { events_.push_back(event.action + " " + event.id); });
}

void ImageTest::reopen() { open(data_root_); }

Status ImageTest::pull(const std::string& reference, std::optional<Platform> platform,
                       const Credentials& credentials) {
  messages_.clear();
  return images_->pull(reference, platform, credentials, progress(), cancellation_);
}

std::string ImageTest::save(const std::vector<std::string>& names) {
  static int number = 0;
  std::string path = fmt::format("{}/saved-{}.tar", directory_.path(), number++);
  auto fd = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  EXPECT_TRUE(fd);
  auto saved = images_->save(names, archive::write_to(*fd), cancellation_);
  EXPECT_TRUE(saved) << saved.error().message;
  return path;
}

Status ImageTest::load(const std::string& path) {
  messages_.clear();
  auto fd = open_file(path, O_RDONLY);
  if (!fd) return tl::unexpected(fd.error());
  return images_->load(archive::read_from(*fd), progress(), cancellation_);
}

CommandOutput ImageTest::run_in(const std::string& reference, std::vector<std::string> argv) {
  auto id = images_->resolve(reference);
  EXPECT_TRUE(id) << id.error().message;
  auto paths = images_->layer_paths(*id);
  EXPECT_TRUE(paths) << paths.error().message;
  TemporaryDirectory top;
  std::vector<UniqueFd> fds;
  OverlayParts parts;
  for (const auto& path : *paths) {
    fds.push_back(*open_file(path, O_PATH | O_DIRECTORY));
    parts.lower.push_back(fds.back());
  }
  for (const char* name : {"upper", "work", "merged"})
    EXPECT_TRUE(make_directories(top.path() + "/" + name, 0755));
  auto upper = open_file(top.path() + "/upper", O_PATH | O_DIRECTORY);
  auto work = open_file(top.path() + "/work", O_PATH | O_DIRECTORY);
  parts.upper = *upper;
  parts.work = *work;
  auto overlay = mount_overlay(parts);
  EXPECT_TRUE(overlay) << overlay.error().message;
  auto merged = open_file(top.path() + "/merged", O_PATH | O_DIRECTORY);
  auto guard = std::move(*overlay).attach(*merged, {}, top.path() + "/merged");
  EXPECT_TRUE(guard) << guard.error().message;
  ProcessOptions options;
  options.argv = {"chroot", top.path() + "/merged"};
  options.argv.insert(options.argv.end(), argv.begin(), argv.end());
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  auto output = run_command(options);
  EXPECT_TRUE(output) << output.error().message;
  return output.value_or(CommandOutput());
}

std::vector<std::string> ImageTest::files(const std::string& below) const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(data_root_ + "/" + below))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void ImageTest::expect_clean() {
  EXPECT_THAT(files("staging"), ::testing::IsEmpty());
  std::set<std::string> blobs;
  std::set<std::string> layers;
  auto records = *store_->all(RecordKind::kImage);
  for (const auto& record : records) {
    auto document = *json::parse_object(record.document);
    blobs.insert(record.key.substr(7));
    blobs.insert(json::string_or(json::object_or_empty(document, "manifest"), "digest").substr(7));
    for (const auto& value : json::array_or_empty(document, "layers")) {
      const auto& layer = value.get_object();
      blobs.insert(json::string_or(json::object_or_empty(layer, "blob"), "digest").substr(7));
      layers.insert(json::string_or(layer, "chain_id").substr(7));
    }
  }
  EXPECT_THAT(files("images/blobs/sha256"), ::testing::ElementsAreArray(blobs));
  EXPECT_THAT(files("layers"), ::testing::ElementsAreArray(layers));
  EXPECT_EQ(store_->all(RecordKind::kLayer)->size(), layers.size());
}

std::unique_ptr<TestRegistry> RegistryTest::registry_;

void RegistryTest::SetUpTestSuite() {
  if (::geteuid() != 0) return;
  registry_ = std::make_unique<TestRegistry>();
  registry_->push({"busybox", "multiarch", "whiteouts", "manylayers", "volumeful"});
}

void RegistryTest::TearDownTestSuite() { registry_.reset(); }

}  // namespace holdfast::image
