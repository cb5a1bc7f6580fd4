#include "runtime/seccomp_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "base/file.h"

namespace holdfast {
namespace {

class SeccompCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/holdfast-seccomp-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static json::Object config() {
    return *json::parse_object(
        R"({"process": {}, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}, "devices": []}})");
  }

  std::string directory_;
};

TEST_F(SeccompCacheTest, HandsOutWhatWasKept) {
  SeccompCache cache(directory_ + "/filters", "crun 1");
  auto first = config();
  auto key = cache.apply(first);
  EXPECT_NE(key, "");
  EXPECT_EQ(first, config());
  ASSERT_TRUE(write_file_atomic(directory_ + "/compiled", std::string("12345678"), 0600, false));
  cache.keep(key, directory_ + "/compiled");
  auto second = config();
  EXPECT_EQ(cache.apply(second), "");
  EXPECT_EQ(json::serialize(second),
            R"({"process":{},"linux":{"devices":[]},)"
            R"("annotations":{"run.oci.seccomp_bpf_data":"MTIzNDU2Nzg="}})");
  auto other = config();
  EXPECT_NE(SeccompCache(directory_ + "/filters", "crun 2").apply(other), "");
}

TEST_F(SeccompCacheTest, KeepsWholeFiltersOnly) {
  SeccompCache cache(directory_ + "/filters", "");
  auto object = config();
  auto key = cache.apply(object);
  ASSERT_TRUE(write_file_atomic(directory_ + "/compiled", "12345", 0600, false));
  cache.keep(key, directory_ + "/compiled");
  EXPECT_EQ(cache.apply(object), key);
  cache.keep(key, directory_ + "/missing");
  EXPECT_EQ(cache.apply(object), key);
}

TEST_F(SeccompCacheTest, LeavesListenersAndOtherRuntimesAlone) {
  auto object = config();
  EXPECT_EQ(SeccompCache("", "").apply(object), "");
  object["linux"].as_object()["seccomp"].as_object()["listenerPath"] = "/run/listener";
  EXPECT_EQ(SeccompCache(directory_, "").apply(object), "");
  EXPECT_TRUE(object["linux"].as_object().contains("seccomp"));
}

}  // namespace
}  // namespace holdfast
