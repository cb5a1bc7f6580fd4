#include "engine/secrets/secrets.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "base/base64.h"
#include "base/file.h"
#include "engine/secrets/key_file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

constexpr std::string_view kContent = "the content of the secret";

class SecretsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    key_path_ = directory_ + "/etc/keys/secrets.key";
    open();
  }
  void TearDown() override {
    secrets_.reset();
    store_.reset();
  }

  // As a restart of the daemon does it.
  void open() {
    secrets_.reset();
    store_.reset();
    store_ = *Store::open(directory_ + "/state.db");
    secrets_ = *Secrets::open(key_path_, *store_);
  }

  SecretId make(const std::string& name, std::string_view content = kContent) {
    auto made = secrets_->create(name, {}, content);
    EXPECT_TRUE(made) << made.error().message;
    return made ? (*made)->id : SecretId();
  }
  std::string reveal(const SecretId& id) {
    auto content = secrets_->reveal(id);
    return content ? std::string(content->view()) : content.error().message;
  }
  json::Object record(const SecretId& id) {
    return *json::parse_object(**store_->get(RecordKind::kSecret, id.str()));
  }
  void set_record(const SecretId& id, const json::Object& document) {
    ASSERT_TRUE(store_->put(RecordKind::kSecret, id.str(), json::serialize(document)));
  }
  std::string create_error() {
    auto made = secrets_->create("another", {}, "x");
    return made ? "" : made.error().message;
  }

  TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path();
  std::string key_path_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Secrets> secrets_;
};

TEST_F(SecretsTest, ComeBackAfterARestart) {
  auto made = secrets_->create("db.password", {{"app", "web"}}, kContent);
  ASSERT_TRUE(made);
  Secret before = **made;
  EXPECT_EQ(before.id.str().size(), 25U);
  open();
  EXPECT_TRUE(secrets_->warnings().empty());
  auto after = secrets_->find("db.password");
  ASSERT_TRUE(after);
  EXPECT_EQ((*after)->id, before.id);
  EXPECT_EQ((*after)->labels, before.labels);
  EXPECT_EQ((*after)->created, before.created);
  EXPECT_EQ((*after)->version, before.version);
  EXPECT_EQ(reveal(before.id), kContent);
}

TEST_F(SecretsTest, KeepBytesOfEveryKindAndSizeUpToTheLimit) {
  std::string content(kSecretSizeLimit - 1, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7);
  EXPECT_EQ(reveal(make("large", content)), content);
  EXPECT_EQ(reveal(make("small", std::string(1, '\0'))), std::string(1, '\0'));
  for (const std::string& wrong : {std::string(), std::string(kSecretSizeLimit, 'x')}) {
    EXPECT_EQ(secrets_->create("wrong", {}, wrong).error().message,
              "secret data must be larger than 0 and less than 512000 bytes");
  }
}

TEST_F(SecretsTest, LieSealedInTheStore) {
  auto id = make("a");
  std::string document = **store_->get(RecordKind::kSecret, id.str());
  EXPECT_EQ(document.find(kContent), std::string::npos);
  EXPECT_EQ(document.find(base64_encode(kContent)), std::string::npos);
  // Each with a nonce of its own: the same content does not look the same.
  auto sealed_of = [&](const SecretId& which) {
    return json::string_or(json::object_or_empty(record(which), "sealed"), "data");
  };
  EXPECT_NE(sealed_of(id), sealed_of(make("b")));
}

TEST_F(SecretsTest, ARecordThatWasTamperedWithIsNotOpened) {
  auto id = make("a");
  const json::Object good = record(id);
  auto flip = [](std::string text) {
    text[1] = text[1] == 'A' ? 'B' : 'A';
    return text;
  };
  for (const char* member : {"data", "tag", "nonce"}) {
    json::Object bad = good;
    auto& sealed = bad["sealed"].get_object();
    sealed[member] = flip(json::string_or(sealed, member));
    set_record(id, bad);
    EXPECT_EQ(reveal(id),
              "secret a was changed on the disk: it does not have the form it was sealed in")
        << member;
  }
  json::Object renamed = good;
  renamed["name"] = "b";
  set_record(id, renamed);
  EXPECT_EQ(secrets_->reveal(id).error().code, Code::kDataLoss);
  set_record(id, good);
  EXPECT_EQ(reveal(id), kContent);
}

TEST_F(SecretsTest, RecordsThatChangedPlacesAreNotOpened) {
  auto a = make("a", "of a");
  auto b = make("b", "of b");
  json::Object of_a = record(a);
  json::Object of_b = record(b);
  of_a["sealed"] = record(b)["sealed"];
  of_b["sealed"] = record(a)["sealed"];
  set_record(a, of_a);
  set_record(b, of_b);
  EXPECT_EQ(secrets_->reveal(a).error().code, Code::kDataLoss);
  EXPECT_EQ(secrets_->reveal(b).error().code, Code::kDataLoss);
}

TEST_F(SecretsTest, TheKeyIsMadeOnceAndForItsOwnerAlone) {
  EXPECT_FALSE(file_exists(key_path_));
  make("a");
  struct stat status = {};
  ASSERT_EQ(::stat(key_path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(status.st_size, 65);
  std::string key = *read_file(key_path_);
  make("b");
  EXPECT_EQ(*read_file(key_path_), key);
  // Nothing was left beside it.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory_ + "/etc/keys"), {}), 1);
}

TEST_F(SecretsTest, AMissingKeyIsNotMadeAnew) {
  auto id = make("a");
  std::string key = *read_file(key_path_);
  ASSERT_TRUE(remove_file(key_path_));
  open();
  ASSERT_EQ(secrets_->warnings().size(), 1U);
  EXPECT_NE(secrets_->warnings()[0].find(key_path_), std::string::npos);
  EXPECT_EQ(
      create_error(),
      fmt::format("secrets key file \"{}\" is missing, and 1 secret is sealed with it: put its "
                  "copy back, or remove what can't be opened without it",
                  key_path_));
  EXPECT_EQ(
      reveal(id),
      fmt::format("secret a: secrets key file \"{}\" is missing: put its copy back", key_path_));
  EXPECT_FALSE(file_exists(key_path_));
  EXPECT_TRUE(secrets_->find("a"));
  ASSERT_TRUE(write_file_atomic(key_path_, key, 0600, false));
  EXPECT_EQ(reveal(id), kContent);
  EXPECT_EQ(create_error(), "");
}

TEST_F(SecretsTest, WithTheLastSecretRemovedANewKeyIsMade) {
  make("a");
  ASSERT_TRUE(remove_file(key_path_));
  secrets_->holders_restored();
  ASSERT_TRUE(secrets_->remove("a", [](const HolderId& holder) { return holder.str(); }));
  EXPECT_EQ(reveal(make("b")), kContent);
}

TEST_F(SecretsTest, AnotherKeyIsToldApartAndNotUsed) {
  auto id = make("a");
  std::string key = *read_file(key_path_);
  ASSERT_TRUE(write_file_atomic(key_path_, SealingKey::generate().text().view(), 0600, false));
  open();
  EXPECT_EQ(secrets_->warnings().size(), 1U);
  EXPECT_NE(create_error().find("holds another key than the one secret a is sealed with"),
            std::string::npos);
  EXPECT_NE(reveal(id).find("holds another key than the one it is sealed with"), std::string::npos);
  ASSERT_TRUE(write_file_atomic(key_path_, key, 0600, false));
  EXPECT_EQ(reveal(id), kContent);
}

TEST_F(SecretsTest, AKeyThatIsUnfitIsRefusedWithTheReason) {
  auto id = make("a");
  auto expect = [&](const std::string& why) {
    EXPECT_NE(reveal(id).find(why), std::string::npos) << reveal(id);
    EXPECT_NE(create_error().find(why), std::string::npos) << create_error();
    EXPECT_EQ(secrets_->warnings().size(), 1U);
  };
  for (unsigned mode : {0640U, 0604U, 0620U, 0700U}) {
    ::chmod(key_path_.c_str(), mode);
    expect(fmt::format("has mode {:04o}, so that others may get at it: chmod it to 0600", mode));
  }
  ::chmod(key_path_.c_str(), 0400);
  EXPECT_EQ(reveal(id), kContent);
  std::string key = *read_file(key_path_);
  for (const std::string& text : {std::string(), std::string("short\n"), key + key,
                                  std::string(64, 'g'), key.substr(1), std::string(5000, '0')}) {
    ASSERT_TRUE(write_file_atomic(key_path_, text, 0600, false));
    expect("does not hold a key of 64 hexadecimal digits: put its copy back");
  }
  ASSERT_TRUE(remove_file(key_path_));
  ASSERT_EQ(::mkfifo(key_path_.c_str(), 0600), 0);
  expect("is not a file");
  ASSERT_TRUE(remove_file(key_path_));
  if (::geteuid() != 0) return;
  ASSERT_TRUE(write_file_atomic(key_path_, key, 0600, false));
  ASSERT_EQ(::chown(key_path_.c_str(), 1000, 0), 0);
  expect("belongs to uid 1000");
}

TEST_F(SecretsTest, SeveralMakersOfTheFirstKeyAgree) {
  KeyFile file(key_path_);
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (auto& id : ids) threads.emplace_back([&] { id = file.create()->id(); });
  for (auto& thread : threads) thread.join();
  for (const auto& id : ids) EXPECT_EQ(id, ids[0]);
  EXPECT_EQ(file.read()->id(), ids[0]);
}

TEST_F(SecretsTest, NamesAreDockers) {
  for (const std::string& name : {std::string("a"), std::string("A1"), std::string("a-b_c.d"),
                                  std::string("0"), std::string(64, 'x')})
    EXPECT_TRUE(check_secret_name(name)) << name;
  for (const std::string& name :
       {std::string("-a"), std::string("a."), std::string("a b"), std::string("a/b"),
        std::string("../a"), std::string("ä"), std::string("a\0b", 3), std::string(65, 'x')}) {
    EXPECT_EQ(check_secret_name(name).error().message,
              "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end "
              "character must be [a-zA-Z0-9]")
        << name;
  }
  EXPECT_EQ(check_secret_name("").error().message, "name must be provided");
}

TEST_F(SecretsTest, ANameIsTakenOnce) {
  make("a");
  auto again = secrets_->create("a", {}, "x");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  EXPECT_EQ(again.error().message, "secret a already exists");
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (secrets_->create("raced", {}, "x")) ++made;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
}

TEST_F(SecretsTest, AreFoundByIdNameAndBeginning) {
  auto a = make("a");
  make("b");
  EXPECT_EQ((*secrets_->find(a.str()))->name, "a");
  EXPECT_EQ((*secrets_->find(a.str().substr(0, 20)))->name, "a");
  // A name goes before the beginning of an id, an id before a name.
  auto named_as_beginning = make(a.str().substr(0, 10));
  EXPECT_EQ((*secrets_->find(a.str().substr(0, 10)))->id, named_as_beginning);
  make(a.str());
  EXPECT_EQ((*secrets_->find(a.str()))->id, a);
  EXPECT_EQ(secrets_->find("nobody").error().message, "secret nobody not found");
  EXPECT_EQ(secrets_->find("").error().code, Code::kNotFound);
}

TEST_F(SecretsTest, OneBeginningOfSeveralIdsIsAmbiguous) {
  json::Object document = record(make("a"));
  for (const char* id : {"0aaaaaaaaaaaaaaaaaaaaaaaa", "0aaaaaaaaaaaaaaaaaaaaaaab"}) {
    document["name"] = std::string("n") + id;
    set_record(SecretId(id), document);
  }
  open();
  auto found = secrets_->find("0aaaaaaaaaaaaaa");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().message, "secret 0aaaaaaaaaaaaaa is ambiguous (2 matches found)");
}

TEST_F(SecretsTest, OnlyLabelsChangeAndOnlyFromTheVersionSeen) {
  auto id = make("a");
  auto version = (*secrets_->find("a"))->version;
  auto changed = secrets_->update("a", version, "a", {{"k", "v"}});
  ASSERT_TRUE(changed) << changed.error().message;
  EXPECT_GT((*changed)->version, version);
  EXPECT_EQ(secrets_->update("a", version, "a", {}).error().message, "update out of sequence");
  EXPECT_EQ(secrets_->update("a", (*changed)->version, "b", {}).error().message,
            "only updates to Labels are allowed");
  open();
  EXPECT_EQ((*secrets_->find("a"))->labels, (std::map<std::string, std::string>{{"k", "v"}}));
  EXPECT_EQ((*secrets_->find("a"))->version, (*changed)->version);
  EXPECT_EQ(reveal(id), kContent);
  EXPECT_GT((*secrets_->create("b", {}, "x"))->version, (*changed)->version);
}

TEST_F(SecretsTest, AreNotRemovedWhileHeld) {
  auto id = make("a");
  auto name_of = [](const HolderId& holder) { return "container-" + holder.str(); };
  EXPECT_EQ(secrets_->remove("a", name_of).error().code, Code::kUnavailable);
  ASSERT_TRUE(secrets_->hold(id, HolderId("2")));
  ASSERT_TRUE(secrets_->hold(id, HolderId("1")));
  secrets_->holders_restored();
  EXPECT_EQ(secrets_->remove("a", name_of).error().message,
            "secret 'a' is in use by the following containers: container-1, container-2");
  secrets_->release(HolderId("1"));
  EXPECT_EQ(secrets_->remove("a", name_of).error().message,
            "secret 'a' is in use by the following container: container-2");
  secrets_->release(HolderId("2"));
  EXPECT_TRUE(secrets_->remove("a", name_of));
  EXPECT_EQ(secrets_->hold(id, HolderId("1")).error().code, Code::kNotFound);
  EXPECT_EQ(*store_->get(RecordKind::kSecret, id.str()), std::nullopt);
  make("a");
}

TEST_F(SecretsTest, ADamagedRecordStopsNobodyAndCanBeRemoved) {
  auto id = make("a");
  make("b");
  ASSERT_TRUE(store_->put(RecordKind::kSecret, id.str(), "{\"name\":"));
  open();
  ASSERT_EQ(secrets_->warnings().size(), 1U);
  EXPECT_NE(secrets_->warnings()[0].find(id.str()), std::string::npos);
  EXPECT_EQ(secrets_->list().size(), 1U);
  // It may be sealed with the key, which therefore is not made anew.
  secrets_->holders_restored();
  auto name_of = [](const HolderId& holder) { return holder.str(); };
  ASSERT_TRUE(secrets_->remove("b", name_of));
  std::string key = *read_file(key_path_);
  ASSERT_TRUE(remove_file(key_path_));
  EXPECT_NE(create_error().find("is missing, and 1 secret is sealed"), std::string::npos);
  ASSERT_TRUE(secrets_->remove(id.str(), name_of));
  EXPECT_EQ(create_error(), "");
}

TEST(SealingKey, IsItsTextAndTellsItselfApart) {
  auto key = SealingKey::generate();
  auto same = SealingKey::parse(key.text().view());
  ASSERT_TRUE(same);
  EXPECT_EQ(same->id(), key.id());
  EXPECT_EQ(same->text().view(), key.text().view());
  EXPECT_NE(SealingKey::generate().id(), key.id());
  auto sealed = *key.seal("x", "context");
  EXPECT_EQ(same->open(sealed, "context")->view(), "x");
  EXPECT_EQ(same->open(sealed, "contexT").error().code, Code::kDataLoss);
  EXPECT_EQ(SealingKey::generate().open(sealed, "context").error().code, Code::kDataLoss);
  sealed.tag.clear();
  EXPECT_EQ(same->open(sealed, "context").error().code, Code::kDataLoss);
}

// Test case 16 of the GCM specification (McGrew and Viega), shortened by nothing: that this is the
// cipher it is said to be.
TEST(SealingKey, OpensWhatOthersSealed) {
  auto bytes = [](std::string_view hex) {
    std::string out;
    for (std::size_t i = 0; i < hex.size(); i += 2)
      out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return out;
  };
  auto key = SealingKey::parse("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  ASSERT_TRUE(key);
  Sealed sealed;
  sealed.nonce = bytes("cafebabefacedbaddecaf888");
  sealed.ciphertext = bytes(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682"
      "8838"
      "c5f61e6393ba7a0abcc9f662");
  sealed.tag = bytes("76fc6ece0f4e1768cddf8853bb2d551b");
  auto plain = key->open(sealed, bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2"));
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->view(),
            bytes("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c"
                  "95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"));
}

}  // namespace
}  // namespace holdfast
