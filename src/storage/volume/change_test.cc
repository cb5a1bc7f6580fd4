#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "storage/temporary_directory.h"
#include "storage/volume/volumes.h"

// Volumes that change: their labels, options and names.
namespace holdfast {
namespace {

namespace fs = std::filesystem;

const HolderId kHolder("0123456789ab");
const VolumeName kData("data");
const VolumeName kOther("other");

using Strings = std::map<std::string, std::string>;

class ChangeTest : public testing::Test {
 protected:
  ChangeTest() { open(); }

  void open(bool holders_known = true) {
    close();
    EXPECT_TRUE(make_directories(root_, 0700));
    store_ = *Store::open(root_ + "/state.db");
    auto volumes = Volumes::open(root_, *store_);
    ASSERT_TRUE(volumes) << volumes.error().message;
    volumes_ = std::move(*volumes);
    if (holders_known) volumes_->holders_restored();
  }
  void close() {
    volumes_.reset();
    store_.reset();
  }
  VolumePtr make(const std::string& name, Strings options = {}, Strings labels = {}) {
    auto created = volumes_->create({name, "", std::move(options), std::move(labels)});
    EXPECT_TRUE(created) << created.error().message;
    return created ? created->volume : nullptr;
  }
  // Once used it has its sidecar, which what interrupts a change finds there.
  VolumePtr make_used(const std::string& name, Strings labels = {}) {
    auto volume = make(name, {}, std::move(labels));
    EXPECT_TRUE(volumes_->mount(VolumeName(name), HolderId("user")));
    EXPECT_TRUE(volumes_->unmount(VolumeName(name), HolderId("user")));
    volumes_->release(VolumeName(name), HolderId("user"));
    return volume;
  }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& volume : volumes_->list()) names.push_back(volume->name.str());
    return names;
  }
  Result<VolumePtr> rename(const VolumeName& from, const VolumeName& to,
                           const std::set<HolderId>& known = {}) {
    return volumes_->rename(from, to, known, {});
  }
  std::string sidecar(const std::string& name) {
    return read_file(root_ + "/volumes/" + name + "/volume.json").value_or("");
  }
  std::size_t intents() {
    auto records = store_->all(RecordKind::kIntent);
    EXPECT_TRUE(records);
    return records ? records->size() : 0;
  }
  std::string row(const std::string& name) {
    auto records = store_->all(RecordKind::kVolume);
    EXPECT_TRUE(records);
    for (const auto& record : *records)
      if (record.key == name) return record.document;
    return "";
  }
  void write_intent(const std::string& key, const std::string& document) {
    ASSERT_TRUE(store_->put(RecordKind::kIntent, key, document));
  }
  std::string rename_intent(const Volume& from, const std::string& to) {
    return json::serialize(json::Object{{"record", from.to_json()}, {"to", to}});
  }
  void write_sidecar(const std::string& name, const Volume& volume) {
    ASSERT_TRUE(write_file_atomic(root_ + "/volumes/" + name + "/volume.json", volume.to_json(),
                                  0600, true));
  }

  TemporaryDirectory directory_;
  std::string root_ = directory_ / "root";
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
};

// --- update ---

TEST_F(ChangeTest, LabelsChangeAndStayChanged) {
  auto before = make("data", {}, {{"a", "1"}, {"b", "2"}});
  std::ofstream(before->mountpoint + "/file") << "x";
  auto updated = volumes_->update(kData, {{{"a", "3"}, {"b", std::nullopt}, {"c", ""}}, {}});
  ASSERT_TRUE(updated) << updated.error().message;
  Strings wanted{{"a", "3"}, {"c", ""}};
  EXPECT_EQ((*updated)->labels, wanted);
  EXPECT_EQ((*volumes_->get(kData))->labels, wanted);
  EXPECT_EQ((*updated)->id, before->id);
  EXPECT_EQ((*updated)->created, before->created);
  EXPECT_EQ(before->labels.at("a"), "1");  // whoever looks at the old one still sees it whole
  EXPECT_EQ(Volume::from_json(sidecar("data"))->labels, wanted);
  EXPECT_EQ(VolumeRow::from_json(row("data"))->volume.labels, wanted);
  EXPECT_EQ(intents(), 0u);
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
  open();
  EXPECT_EQ((*volumes_->get(kData))->labels, wanted);
  EXPECT_TRUE(file_exists(before->mountpoint + "/file"));
}

TEST_F(ChangeTest, AnUpdateThatChangesNothingWritesNothing) {
  auto before = make("data", {}, {{"a", "1"}});
  auto updated = volumes_->update(kData, {{{"a", "1"}, {"none", std::nullopt}}, {}});
  ASSERT_TRUE(updated);
  EXPECT_EQ(*updated, before);
}

TEST_F(ChangeTest, RefusedUpdatesLeaveNothingBehind) {
  make("data");
  EXPECT_EQ(volumes_->update(kOther, {{{"a", "1"}}, {}}).error().message,
            "get other: no such volume");
  EXPECT_EQ(volumes_->update(kData, {{{"", "1"}}, {}}).error().message,
            "update data: invalid label: its name is empty");
  EXPECT_EQ(volumes_->update(kData, {{{"a", std::string(1 << 20, 'x')}}, {}}).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(volumes_->update(kData, {{}, {{"foo", "1"}}}).error().message,
            "update data: invalid option: \"foo\"");
  EXPECT_EQ(intents(), 0u);
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
}

TEST_F(ChangeTest, UpdatesOfOneVolumeComeOneAfterTheOther) {
  make("data");
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      Volumes::Change change;
      change.labels["l" + std::to_string(i)] = "x";
      EXPECT_TRUE(volumes_->update(kData, change));
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ((*volumes_->get(kData))->labels.size(), 16u);
  open();
  EXPECT_EQ((*volumes_->get(kData))->labels.size(), 16u);
}

// Killed between steps 3 and 4: the row is the older one, and the sidecar counts.
TEST_F(ChangeTest, AnUpdateCutShortAfterItsSidecarHolds) {
  auto volume = *make("data", {}, {{"a", "1"}});
  volume.labels["a"] = "2";
  write_sidecar("data", volume);
  write_intent("volume-update/" + volume.id, volume.to_json());
  open();
  EXPECT_EQ((*volumes_->get(kData))->labels.at("a"), "2");
  EXPECT_EQ(intents(), 0u);
  open();
  EXPECT_EQ((*volumes_->get(kData))->labels.at("a"), "2");
}

// Killed between steps 1 and 3.
TEST_F(ChangeTest, AnUpdateCutShortBeforeItsSidecarIsNone) {
  auto volume = *make("data", {}, {{"a", "1"}});
  volume.labels["a"] = "2";
  std::ofstream(root_ + "/staging/volume-" + std::string(32, 'f')) << volume.to_json();
  write_intent("volume-update/" + volume.id, volume.to_json());
  open();
  EXPECT_EQ((*volumes_->get(kData))->labels.at("a"), "1");
  EXPECT_EQ(intents(), 0u);
}

TEST_F(ChangeTest, AnUpdateOfAVolumeThatIsGoneIsForgotten) {
  auto volume = *make("data");
  write_intent("volume-update/" + volume.id, volume.to_json());
  write_intent("volume-update/damaged", "{");
  ASSERT_TRUE(volumes_->remove(kData));
  make("data");
  open();
  EXPECT_NE((*volumes_->get(kData))->id, volume.id);
  EXPECT_EQ(intents(), 0u);
}

// --- rename ---

TEST_F(ChangeTest, ARenamedVolumeKeepsItsFilesAndItsHolders) {
  auto before = make("data", {}, {{"a", "1"}});
  std::ofstream(before->mountpoint + "/file") << "x";
  ASSERT_TRUE(volumes_->hold(kData, kHolder));
  auto renamed = rename(kData, kOther, {kHolder});
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_EQ((*renamed)->mountpoint, root_ + "/volumes/other/_data");
  EXPECT_TRUE(file_exists((*renamed)->mountpoint + "/file"));
  EXPECT_EQ((*renamed)->id, before->id);
  EXPECT_EQ((*renamed)->labels, before->labels);
  EXPECT_EQ(names(), std::vector<std::string>{"other"});
  EXPECT_EQ(volumes_->holders(kOther), std::vector<HolderId>{kHolder});
  EXPECT_EQ(volumes_->remove(kOther).error().code, Code::kConflict);
  EXPECT_EQ(intents(), 0u);
  open();
  EXPECT_EQ(names(), std::vector<std::string>{"other"});
  EXPECT_TRUE(volumes_->warnings().empty());
  EXPECT_EQ(Volume::from_json(sidecar("other"))->name, kOther);
  EXPECT_FALSE(make("data") == nullptr);  // the old name is free
}

TEST_F(ChangeTest, AnAnonymousVolumeThatGetsANameIsANamedOne) {
  auto anonymous = volumes_->create({"", "", {}, {{"a", "1"}}});
  ASSERT_TRUE(anonymous);
  auto renamed = rename(anonymous->volume->name, kData);
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_FALSE((*renamed)->anonymous());
  EXPECT_EQ((*renamed)->labels, (Strings{{"a", "1"}}));
  open();
  EXPECT_FALSE((*volumes_->get(kData))->anonymous());
}

TEST_F(ChangeTest, TheChangesOfOthersComeWithTheName) {
  make("data");
  Batch also;
  also.put(RecordKind::kSetting, "holder", "other");
  ASSERT_TRUE(volumes_->rename(kData, kOther, {}, std::move(also)));
  EXPECT_EQ(store_->all(RecordKind::kSetting)->at(0).document, "other");
  also.put(RecordKind::kSetting, "holder", "third");
  EXPECT_FALSE(volumes_->rename(kData, kOther, {}, std::move(also)));
  EXPECT_EQ(store_->all(RecordKind::kSetting)->at(0).document, "other");
}

TEST_F(ChangeTest, RefusedRenamesSayWhy) {
  make("data");
  make("other");
  EXPECT_EQ(rename(VolumeName("none"), VolumeName("new")).error().message,
            "get none: no such volume");
  EXPECT_EQ(rename(kData, kOther).error().message, "rename data: volume \"other\" exists already");
  EXPECT_EQ(rename(kData, kOther).error().code, Code::kConflict);
  EXPECT_EQ(rename(kData, kData).error().message, "rename data: it has that name already");
  for (const char* bad : {"", "x", "../x", "a/b", ".hidden"})
    EXPECT_EQ(rename(kData, VolumeName(bad)).error().code, Code::kInvalidArgument) << bad;
  VolumeName fresh("fresh");
  ASSERT_TRUE(volumes_->hold(kData, kHolder));
  EXPECT_EQ(rename(kData, fresh).error().message, "rename data: volume is in use - [0123456789ab]");
  ASSERT_TRUE(volumes_->mount(kData, kHolder));
  EXPECT_EQ(rename(kData, fresh, {kHolder}).error().code, Code::kConflict);
  ASSERT_TRUE(volumes_->unmount(kData, kHolder));
  EXPECT_TRUE(rename(kData, fresh, {kHolder}));
  // A name that somebody holds although its volume is missing is not free.
  EXPECT_FALSE(volumes_->hold(VolumeName("missing"), kHolder));
  EXPECT_EQ(rename(kOther, VolumeName("missing")).error().code, Code::kConflict);
  // Nor is a directory that is no volume.
  ASSERT_TRUE(make_directories(root_ + "/volumes/strange", 0700));
  EXPECT_EQ(rename(kOther, VolumeName("strange")).error().code, Code::kConflict);
  EXPECT_EQ(intents(), 0u);
  EXPECT_EQ(names(), (std::vector<std::string>{"fresh", "other"}));
}

TEST_F(ChangeTest, NothingIsRenamedBeforeHoldersAreKnown) {
  make("data");
  open(false);
  EXPECT_EQ(rename(kData, kOther).error().code, Code::kUnavailable);
}

TEST_F(ChangeTest, OfManyRenamesToOneNameOneSucceeds) {
  for (int i = 0; i < 8; ++i) make("from" + std::to_string(i));
  std::atomic<int> renamed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      if (rename(VolumeName("from" + std::to_string(i)), kData)) ++renamed;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(renamed, 1);
  EXPECT_EQ(names().size(), 8u);
  open();
  EXPECT_EQ(names().size(), 8u);
}

// Each crash point leaves the disk in one of these states, with the intent and the old row there.
class InterruptedRename : public ChangeTest {
 protected:
  void SetUp() override {
    volume_ = *make_used("data", {{"com.docker.volume.anonymous", ""}, {"a", "1"}});
    std::ofstream(volume_.mountpoint + "/file") << "x";
    renamed_ = volume_;
    renamed_.name = kOther;
    renamed_.labels.erase("com.docker.volume.anonymous");
    write_intent("volume-rename/" + volume_.id, rename_intent(volume_, "other"));
    // Its row is in the store.
    volumes_.reset();
  }
  void move() { fs::rename(root_ + "/volumes/data", root_ + "/volumes/other"); }
  void check_undone() {
    for (int twice = 0; twice < 2; ++twice) {
      open();
      EXPECT_EQ(names(), std::vector<std::string>{"data"});
      EXPECT_TRUE(volumes_->warnings().empty());
      EXPECT_EQ((*volumes_->get(kData))->labels, volume_.labels);
      EXPECT_EQ(Volume::from_json(sidecar("data"))->labels, volume_.labels);
      EXPECT_TRUE(file_exists(volume_.mountpoint + "/file"));
      EXPECT_FALSE(file_exists(root_ + "/volumes/other"));
      EXPECT_EQ(intents(), 0u);
    }
  }

  Volume volume_, renamed_;
};

TEST_F(InterruptedRename, BeforeTheDirectoryMoved) { check_undone(); }

TEST_F(InterruptedRename, BeforeTheSidecarWasReplaced) {
  move();
  check_undone();
}

TEST_F(InterruptedRename, BeforeTheRowsChanged) {
  move();
  write_sidecar("other", renamed_);
  check_undone();
}

// A power cut may keep the later change and lose the earlier one.
TEST_F(InterruptedRename, WithTheSidecarAloneOnDisk) {
  write_sidecar("data", renamed_);
  check_undone();
}

TEST_F(InterruptedRename, LeavesVolumesMadeSinceAlone) {
  ASSERT_TRUE(make_directories(root_ + "/volumes/other/_data", 0700));
  Volume newer = renamed_;
  newer.id = std::string(32, 'e');
  write_sidecar("other", newer);
  open();
  EXPECT_EQ(names(), (std::vector<std::string>{"data", "other"}));
  EXPECT_EQ((*volumes_->get(kOther))->id, newer.id);
  EXPECT_EQ(intents(), 0u);
}

TEST_F(ChangeTest, AFillCutShortFollowsItsVolumeToItsNewName) {
  auto volume = make("data");
  std::string id(32, 'a');
  std::ofstream(root_ + "/staging/fill-" + id + ".json")
      << "{\"volume\":\"data\",\"volume_id\":\"" + volume->id + "\",\"id\":\"" + id + "\"}";
  ASSERT_TRUE(make_directories(volume->mountpoint + "/.holdfast-fill-" + id + "/half", 0755));
  open();
  ASSERT_TRUE(rename(kData, kOther));
  open();
  ASSERT_TRUE(volumes_->mount(kOther, kHolder));
  EXPECT_TRUE(fs::is_empty(root_ + "/volumes/other/_data"));
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
}

// --- last use ---

TEST_F(ChangeTest, LastUseIsRememberedAcrossRestartsAndRenames) {
  make("data");
  EXPECT_EQ(volumes_->list_with_holders()[0].last_used, Time{});
  Time before = now();
  ASSERT_TRUE(volumes_->mount(kData, kHolder));
  Time mounted = volumes_->list_with_holders()[0].last_used;
  EXPECT_GE(mounted, before);
  ASSERT_TRUE(volumes_->unmount(kData, kHolder));
  Time unmounted = volumes_->list_with_holders()[0].last_used;
  EXPECT_GT(unmounted, mounted);
  open();
  EXPECT_EQ(volumes_->list_with_holders()[0].last_used, unmounted);
  ASSERT_TRUE(volumes_->update(kData, {{{"a", "1"}}, {}}));
  ASSERT_TRUE(rename(kData, kOther));
  open();
  EXPECT_EQ(volumes_->list_with_holders()[0].last_used, unmounted);
  EXPECT_EQ(volumes_->look(kOther)->last_used, unmounted);
  EXPECT_EQ(sidecar("other").find("last_used"), std::string::npos);
}

}  // namespace
}  // namespace holdfast
