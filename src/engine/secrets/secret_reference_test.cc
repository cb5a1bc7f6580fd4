#include "engine/secrets/secret_reference.h"

#include <gtest/gtest.h>

#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

class SecretReferenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = *Store::open(directory_ + "/state.db");
    secrets_ = *Secrets::open(directory_ + "/key", *store_);
    id_ = (*secrets_->create("db", {}, "x"))->id.str();
    ASSERT_TRUE(secrets_->create("web", {}, "x"));
  }
  void TearDown() override {
    secrets_.reset();
    store_.reset();
  }

  Result<std::vector<SecretReference>> parse(const std::string& text) {
    return parse_secret_references(json::parse(text)->get_array(), *secrets_);
  }
  std::string target(const std::string& given) {
    auto parsed =
        parse_secret_references({json::Object{{"Source", "db"}, {"Target", given}}}, *secrets_);
    return parsed ? (*parsed)[0].target : parsed.error().message;
  }
  std::string error(const std::string& text) {
    auto parsed = parse(text);
    return parsed ? "" : parsed.error().message;
  }
  std::string conflict(const std::string& text, const std::vector<std::string>& targets) {
    std::vector<MountPoint> mounts;
    for (const auto& path : targets) mounts.emplace_back().target = path;
    auto status = check_secret_targets(*parse(text), mounts);
    return status ? "" : status.error().message;
  }

  TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path();
  std::string id_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Secrets> secrets_;
};

TEST_F(SecretReferenceTest, HasDockersDefaults) {
  auto parsed = parse(R"([{"Source":"db"}])");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(json::serialize(to_json(*parsed)),
            R"([{"Source":")" + id_ +
                R"(","Name":"db","Target":"/run/secrets/db","UID":"0","GID":"0","Mode":292}])");
}

TEST_F(SecretReferenceTest, IsRecordedAndReadAgain) {
  auto parsed = parse(
      R"([{"Source":"db","Target":"/etc/pw","UID":1000,"GID":"4294967294","Mode":0},{"Source":"web"}])");
  ASSERT_TRUE(parsed) << parsed.error().message;
  auto read = secret_references_from({{"Secrets", to_json(*parsed)}});
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].id.str(), id_);
  EXPECT_EQ(read[0].target, "/etc/pw");
  EXPECT_EQ(read[0].uid, 1000U);
  EXPECT_EQ(read[0].gid, 4294967294U);
  EXPECT_EQ(read[0].mode, 0U);
  EXPECT_FALSE(read[0].in_directory());
  EXPECT_TRUE(read[1].in_directory());
  EXPECT_TRUE(secret_references_from({}).empty());
}

TEST_F(SecretReferenceTest, TargetsAreMadeAbsolute) {
  EXPECT_EQ(target("pw"), "/run/secrets/pw");
  EXPECT_EQ(target("a/./b//c"), "/run/secrets/a/b/c");
  EXPECT_EQ(target("a/../b"), "/run/secrets/b");
  EXPECT_EQ(target("/etc/../srv/pw"), "/srv/pw");
  EXPECT_EQ(target("/run/secrets/x"), "/run/secrets/x");
}

TEST_F(SecretReferenceTest, TargetsElsewhereAreRefused) {
  const std::pair<std::string, const char*> wrong[] = {
      {"..", "it does not lie below /run/secrets"},
      {"../x", "it does not lie below /run/secrets"},
      {"a/../../secretsx", "it does not lie below /run/secrets"},
      {".", "it does not lie below /run/secrets"},
      {"/", "it is a directory, not a file"},
      {"/..", "it is a directory, not a file"},
      {"/run/secrets", "it is a directory, not a file"},
      {"dir/", "it is a directory, not a file"},
      {"/proc/1/environ", "/proc belongs to the kernel"},
      {"/x/../sys/power", "/sys belongs to the kernel"},
      {"/dev/null", "/dev belongs to the kernel"},
      {std::string("a\0b", 3), "it holds a NUL"},
      {std::string(256, 'x'), "it is too long"},
      {"/" + std::string(5000, '/') + std::string(200, 'y') + "/" + std::string(4090, 'z'),
       "it is too long"},
  };
  for (const auto& [given, why] : wrong)
    EXPECT_EQ(target(given), fmt::format("invalid target \"{}\" of secret db: {}", given, why));
}

TEST_F(SecretReferenceTest, NamesWhatIsWrong) {
  EXPECT_EQ(error(R"([{}])"), "HostConfig.Secrets: source is required");
  EXPECT_EQ(error(R"([{"Source":""}])"), "HostConfig.Secrets: source is required");
  EXPECT_EQ(error(R"(["db"])"), "HostConfig.Secrets: an entry is no object");
  EXPECT_EQ(error(R"([{"Source":"nobody"}])"), "secret nobody not found");
  for (const char* id : {"\"root\"", "-1", "\"4294967295\"", "4294967295", "1.5", "true", "[]"}) {
    std::string message = error(fmt::format(R"([{{"Source":"db","UID":{}}}])", id));
    EXPECT_TRUE(message.starts_with("invalid UID")) << id << ": " << message;
    EXPECT_NE(message.find("of secret db: give a number from 0 to 4294967294"), std::string::npos);
  }
  for (const char* mode : {"512", "\"0400x\"", "-1", "4294967296"}) {
    std::string message = error(fmt::format(R"([{{"Source":"db","Mode":{}}}])", mode));
    EXPECT_TRUE(message.starts_with("invalid Mode")) << mode << ": " << message;
  }
}

TEST_F(SecretReferenceTest, NoTwoAreMountedOnOnePlace) {
  EXPECT_EQ(conflict(R"([{"Source":"db"},{"Source":"web"}])", {"/run", "/data", "/run/secretsx"}),
            "");
  EXPECT_EQ(conflict(R"([{"Source":"db"},{"Source":"web","Target":"db"}])", {}),
            "Duplicate mount point: /run/secrets/db");
  EXPECT_EQ(
      conflict(R"([{"Source":"db"},{"Source":"web","Target":"db/x"}])", {}),
      "invalid target \"/run/secrets/db/x\" of secret web: /run/secrets/db is another secret's "
      "file");
  EXPECT_EQ(conflict(R"([{"Source":"db"}])", {"/run/secrets"}),
            "Duplicate mount point: /run/secrets");
  EXPECT_EQ(conflict(R"([{"Source":"db"}])", {"/run/secrets/db"}),
            "Duplicate mount point: /run/secrets/db");
  EXPECT_EQ(
      conflict(R"([{"Source":"db"}])", {"/run/secrets/other"}),
      "invalid mount target \"/run/secrets/other\": it lies below /run/secrets, where secret db "
      "is mounted");
  EXPECT_EQ(conflict(R"([{"Source":"db","Target":"/etc/pw"}])", {"/etc", "/run/secrets"}), "");
  EXPECT_EQ(conflict(R"([{"Source":"db","Target":"/etc/pw"}])", {"/etc/pw"}),
            "Duplicate mount point: /etc/pw");
}

}  // namespace
}  // namespace holdfast
