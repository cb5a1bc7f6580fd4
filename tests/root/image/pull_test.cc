#include "base/file.h"
#include "base/sha256.h"
#include "fixture.h"

namespace holdfast::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ROOT_Pull : public RegistryTest {};

TEST_F(ROOT_Pull, TellsItsProgressAsDockerDoes) {
  std::string name = registry_->name("busybox:latest");
  auto pulled = pull(name);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_THAT(
      messages(),
      HasSubstr(R"({"status":"Pulling from library/busybox","progressDetail":{},"id":"latest"})"));
  for (auto text : {"Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete",
                    "Extracting", "Pull complete", "Digest: sha256:"})
    EXPECT_THAT(messages(), HasSubstr(fmt::format("{{\"status\":\"{}", text)));
  EXPECT_THAT(messages(), HasSubstr("\"Status: Downloaded newer image for " + name + "\""));
  EXPECT_THAT(events_, ElementsAre("pull " + name));
  EXPECT_EQ(run_in(name, {"/bin/echo", "hello"}).out, "hello\n");
  expect_clean();

  ASSERT_TRUE(pull(name));
  EXPECT_THAT(messages(), HasSubstr("\"Status: Image is up to date for " + name + "\""));
  EXPECT_THAT(messages(), Not(HasSubstr("Download complete")));
}

TEST_F(ROOT_Pull, SurvivesAReopen) {
  std::string name = registry_->name("busybox:latest");
  ASSERT_TRUE(pull(name));
  auto before = json::serialize(*images_->inspect(name));
  reopen();
  EXPECT_EQ(json::serialize(*images_->inspect(name)), before);
  EXPECT_EQ(run_in(name, {"/bin/echo", "hello"}).out, "hello\n");
  expect_clean();
}

TEST_F(ROOT_Pull, KeepsTheRegistrysBytes) {
  std::string name = registry_->name("busybox:latest");
  ASSERT_TRUE(pull(name));
  auto raw = output_of({"skopeo", "inspect", "--raw", "--tls-verify=false", "docker://" + name});
  bool found = false;
  for (const auto& digest : files("images/blobs/sha256")) {
    auto bytes = *read_file(data_root_ + "/images/blobs/sha256/" + digest);
    EXPECT_EQ(sha256_hex(bytes), digest);
    while (bytes.ends_with('\n')) bytes.pop_back();
    found |= bytes == raw;
  }
  EXPECT_TRUE(found);
}

TEST_F(ROOT_Pull, EveryCompression) {
  for (auto tag : {"gzip", "zstd", "uncompressed"}) {
    std::string name = registry_->name(std::string("busybox:") + tag);
    auto pulled = pull(name);
    ASSERT_TRUE(pulled) << tag << ": " << pulled.error().message;
    EXPECT_EQ(run_in(name, {"/bin/echo", tag}).out, std::string(tag) + "\n");
  }
  expect_clean();
}

TEST_F(ROOT_Pull, ByDigest) {
  std::string tagged = registry_->name("busybox:latest");
  ASSERT_TRUE(pull(tagged));
  auto image = *images_->find(tagged);
  ASSERT_EQ(image.repo_digests.size(), 1U);
  std::string name = image.repo_digests[0];
  ASSERT_TRUE(images_->remove(image.id.str(), {true, true}, nullptr));
  EXPECT_EQ(images_->count(), 0U);
  auto pulled = pull(name);
  ASSERT_TRUE(pulled) << pulled.error().message;
  auto again = *images_->find(name);
  EXPECT_EQ(again.id, image.id);
  EXPECT_THAT(again.repo_tags, ElementsAre());
  EXPECT_THAT(again.repo_digests, ElementsAre(name));
  auto wrong = pull(name.substr(0, name.size() - 4) + "0000");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kNotFound);
}

TEST_F(ROOT_Pull, ChoosesThePlatform) {
  std::string name = registry_->name("multiarch:latest");
  auto arm = parse_platform("linux/arm64");
  ASSERT_TRUE(pull(name, *arm));
  EXPECT_EQ(json::string_or(images_->find(name)->config, "architecture"), "arm64");
  auto mine = *images_->find(name);
  ASSERT_TRUE(pull(name, *parse_platform("linux/amd64")));
  auto image = *images_->find(name);
  EXPECT_EQ(json::string_or(image.config, "architecture"), "amd64");
  EXPECT_NE(image.id, mine.id);
  auto none = pull(name, *parse_platform("linux/s390x"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "no matching manifest for linux/s390x in the manifest list entries");
}

TEST_F(ROOT_Pull, WarnsOfAnotherPlatform) {
  std::string name = registry_->name("busybox:latest");
  ASSERT_TRUE(pull(name, *parse_platform("linux/arm64")));
  EXPECT_THAT(messages(), HasSubstr("does not match the specified platform: wanted linux/arm64, "
                                    "actual: linux/amd64"));
}

TEST_F(ROOT_Pull, WhiteoutsHideWhatIsBelow) {
  std::string name = registry_->name("whiteouts:latest");
  ASSERT_TRUE(pull(name));
  auto command = json::strings_or_empty(images_->find(name)->container_config(), "Cmd");
  ASSERT_FALSE(command.empty());
  auto ran = run_in(name, command);
  EXPECT_EQ(ran.status.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("as expected"));
}

TEST_F(ROOT_Pull, KeepsOwnersModesXattrsLinksAndNames) {
  std::string name = registry_->name("volumeful:latest");
  ASSERT_TRUE(pull(name));
  auto command = json::strings_or_empty(images_->find(name)->container_config(), "Cmd");
  auto ran = run_in(name, command);
  EXPECT_EQ(ran.status.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("as expected"));
}

TEST_F(ROOT_Pull, KeepsHoles) {
  std::string name = registry_->name("volumeful:sparse");
  ASSERT_TRUE(pull(name));
  auto command = json::strings_or_empty(images_->find(name)->container_config(), "Cmd");
  auto ran = run_in(name, command);
  EXPECT_EQ(ran.status.code, 0) << ran.out << ran.err;
  EXPECT_EQ(ran.out, "4195328 bytes in 16 blocks\n");
}

TEST_F(ROOT_Pull, MoreThanAHundredLayers) {
  std::string name = registry_->name("manylayers:latest");
  auto pulled = pull(name);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_GT(images_->layer_paths(images_->find(name)->id)->size(), 100U);
  EXPECT_EQ(run_in(name, {"/bin/echo", "many"}).out, "many\n");
  expect_clean();
}

TEST_F(ROOT_Pull, SharedLayersAlreadyExist) {
  ASSERT_TRUE(pull(registry_->name("busybox:latest")));
  ASSERT_TRUE(pull(registry_->name("whiteouts:latest")));
  EXPECT_THAT(messages(), HasSubstr("Already exists"));
}

TEST_F(ROOT_Pull, TwoAtOnceShareTheWork) {
  std::string name = registry_->name("manylayers:latest");
  Status first, second;
  std::thread other([&] { first = images_->pull(name, {}, {}, nullptr, cancellation_); });
  second = images_->pull(name, {}, {}, nullptr, cancellation_);
  other.join();
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(images_->count(), 1U);
  expect_clean();
}

TEST_F(ROOT_Pull, FailsInDockersWords) {
  std::string missing = registry_->name("busybox:nope");
  auto no_tag = pull(missing);
  ASSERT_FALSE(no_tag);
  EXPECT_EQ(no_tag.error().message,
            "manifest for " + missing + " not found: manifest unknown: manifest unknown");
  EXPECT_EQ(no_tag.error().code, Code::kNotFound);
  auto no_repository = pull(registry_->name("nope"));
  ASSERT_FALSE(no_repository);
  EXPECT_EQ(no_repository.error().code, Code::kNotFound);
  auto refused = pull("127.0.0.1:1/library/busybox");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("Get \"http"));
  EXPECT_THAT(refused.error().message,
              HasSubstr("dial tcp 127.0.0.1:1: connect: connection refused"));
  auto upper = pull("Busybox");
  EXPECT_EQ(upper.error().message,
            "invalid reference format: repository name (library/Busybox) must be lowercase");
  EXPECT_EQ(messages(), "");
  expect_clean();
}

TEST_F(ROOT_Pull, TakesCredentialsThatNobodyElseSees) {
  TestRegistry locked("user:secret");
  locked.push({"busybox"});
  std::string name = locked.name("busybox:latest");
  auto anonymous = pull(name);
  ASSERT_FALSE(anonymous);
  EXPECT_EQ(anonymous.error().code, Code::kInternal);
  EXPECT_THAT(anonymous.error().message, HasSubstr("no basic auth credentials"));
  auto wrong = pull(name, {}, {"user", "wrong", {}, {}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInternal);
  auto right = pull(name, {}, {"user", "secret", {}, {}});
  ASSERT_TRUE(right) << right.error().message;
  // No credentials stay behind.
  auto left = output_of({"find", directory_.path() + "/run", "-type", "f"});
  EXPECT_EQ(left, "");
}

class ROOT_Push : public RegistryTest {};

TEST_F(ROOT_Push, ReproducesDigests) {
  std::string from = registry_->name("busybox:zstd");
  ASSERT_TRUE(pull(from));
  std::string to = registry_->address() + "/pushed/busybox";
  ASSERT_TRUE(images_->tag(from, to, "again"));
  messages_.clear();
  auto pushed = images_->push(to + ":again", {}, progress(), cancellation_);
  ASSERT_TRUE(pushed) << pushed.error().message;
  EXPECT_THAT(messages(), HasSubstr("The push refers to repository [" + to + "]"));
  EXPECT_THAT(messages(), HasSubstr("again: digest: sha256:"));
  EXPECT_THAT(messages(), HasSubstr("\"aux\":{\"Tag\":\"again\",\"Digest\":\"sha256:"));
  auto digest = [](const std::string& name) {
    return output_of(
        {"skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://" + name});
  };
  EXPECT_EQ(digest(to + ":again"), digest(from));
  EXPECT_THAT(images_->find(to + ":again")->repo_digests,
              ::testing::Contains(to + "@" + digest(from)));
  auto missing = images_->push(to + ":nope", {}, progress(), cancellation_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "tag does not exist: " + to + ":nope");
  expect_clean();
}

}  // namespace
}  // namespace holdfast::image
