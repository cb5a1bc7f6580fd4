#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "image/images.h"
#include "state/store.h"

namespace holdfast::image {

// A directory under /tmp that is gone with its test.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Standard output of a command that must succeed.
std::string output_of(std::vector<std::string> argv);

// A docker-registry of its own on loopback, with test images in it under library/.
class TestRegistry {
 public:
  explicit TestRegistry(const std::string& credentials = {});
  ~TestRegistry();
  void push(const std::vector<std::string>& names);
  // "127.0.0.1:PORT/library/NAME"
  std::string name(const std::string& image) const { return address_ + "/library/" + image; }
  const std::string& address() const { return address_; }
  std::string storage() const { return directory_.path() + "/storage"; }
  void stop();

 private:
  TemporaryDirectory directory_;
  std::string credentials_;
  std::string address_;
};

// Where the test images are: OCI layouts by name.
std::string image_cache();

// Images on a data root of its own; reopen() is what a restart of the daemon sees.
class ImageTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void open(const std::string& data_root);
  void reopen();

  // The messages of the last pull, push, load: one a line.
  std::string messages() const { return messages_; }
  Progress progress() {
    return [this](std::string_view json) { messages_ += std::string(json) + "\n"; };
  }
  Status pull(const std::string& reference, std::optional<Platform> platform = {},
              const Credentials& credentials = {});
  std::string save(const std::vector<std::string>& names);  // to a file whose path is returned
  Status load(const std::string& path);

  // Runs a command in an image's tree, with a writable layer over it.
  CommandOutput run_in(const std::string& reference, std::vector<std::string> argv);

  // Nothing of an unfinished operation is there: staging is empty, and every blob and layer is
  // needed by an image.
  void expect_clean();
  std::vector<std::string> files(const std::string& below) const;

  TemporaryDirectory directory_;
  std::string data_root_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Images> images_;
  std::vector<std::string> events_;
  std::string messages_;
  Cancellation cancellation_;
};

// For tests that need the registry; one for all of them.
class RegistryTest : public ImageTest {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  static std::unique_ptr<TestRegistry> registry_;
};

}  // namespace holdfast::image
