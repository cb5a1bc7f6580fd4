#include "storage/volume/volumes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

using Options = std::map<std::string, std::string>;

const HolderId kHolder("0123456789ab");
const VolumeName kData("data");

class VolumesTest : public testing::Test {
 protected:
  VolumesTest() { open(); }

  void open() {
    volumes_.reset();
    store_.reset();
    EXPECT_TRUE(make_directories(root_, 0700));
    auto store = Store::open(root_ + "/state.db");
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
    auto volumes = Volumes::open(root_, *store_);
    ASSERT_TRUE(volumes) << volumes.error().message;
    volumes_ = std::move(*volumes);
    volumes_->holders_restored();
  }
  // As after a crash: what the store's table says is `records` only.
  void reopen_with_records(const std::vector<Record>& records) {
    volumes_.reset();
    auto before = *store_->all(RecordKind::kVolume);
    for (const auto& record : before) ASSERT_TRUE(store_->erase(RecordKind::kVolume, record.key));
    for (const auto& record : records)
      ASSERT_TRUE(store_->put(RecordKind::kVolume, record.key, record.document));
    open();
  }
  VolumePtr make(const std::string& name) {
    auto created = volumes_->create({name, "", {}, {}});
    EXPECT_TRUE(created) << created.error().message;
    return created ? created->volume : nullptr;
  }
  // From its first use on its directory counts, and not its row.
  VolumePtr make_used(const std::string& name) {
    auto volume = make(name);
    EXPECT_TRUE(volumes_->mount(VolumeName(name), kHolder));
    EXPECT_TRUE(volumes_->unmount(VolumeName(name), kHolder));
    volumes_->release(VolumeName(name), kHolder);
    return volume;
  }
  std::string message_of(const VolumeSpec& spec) {
    auto created = volumes_->create(spec);
    return created ? "" : created.error().message;
  }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& volume : volumes_->list()) names.push_back(volume->name.str());
    return names;
  }
  // Waits for background work.
  bool vanishes(const std::string& path) {
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (file_exists(path)) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // The same: trash is empty but for its reserve.
  bool trash_is_gone() {
    auto deadline = std::chrono::steady_clock::now() + 10s;
    while (std::chrono::steady_clock::now() < deadline) {
      bool any = false;
      std::error_code vanished;
      for (const auto& entry : fs::directory_iterator(root_ + "/trash", vanished))
        any = any || !fs::is_empty(entry.path(), vanished);
      if (!any) return true;
      std::this_thread::yield();
    }
    return false;
  }

  TemporaryDirectory directory_;
  std::string root_ = directory_ / "root";
  std::unique_ptr<Store> store_;
  std::unique_ptr<Volumes> volumes_;
};

TEST_F(VolumesTest, CreatedVolumesAreThereAfterReopening) {
  auto made = volumes_->create({"data", "", {}, {{"a", "b"}}});
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->existed);
  EXPECT_EQ(made->volume->mountpoint, root_ + "/volumes/data/_data");
  EXPECT_EQ(fs::status(made->volume->mountpoint).permissions(), fs::perms(0755));
  open();
  auto got = volumes_->get(kData);
  ASSERT_TRUE(got);
  EXPECT_EQ((*got)->labels.at("a"), "b");
  EXPECT_EQ((*got)->id, made->volume->id);
  EXPECT_EQ((*got)->created, made->volume->created);
  EXPECT_TRUE(volumes_->warnings().empty());
}

TEST_F(VolumesTest, CreatingAgainIsSuccessAndChangesNothing) {
  auto first = make("data");
  auto again = volumes_->create({"data", "local", {}, {{"other", "label"}}});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->volume, first);
}

// dockerd hands out the old volume as if it had the options asked for.
TEST_F(VolumesTest, CreatingAgainWithOtherOptionsIsAConflictThatSaysWhich) {
  VolumeSpec spec{"data", "", {{"type", "tmpfs"}, {"device", "x"}}, {}};
  ASSERT_TRUE(volumes_->create(spec));
  EXPECT_TRUE(volumes_->create(spec)->existed);
  EXPECT_TRUE(volumes_->create({"data", "", {}, {}})->existed);
  spec.options["o"] = "size=1m";
  auto conflict = volumes_->create(spec);
  ASSERT_FALSE(conflict);
  EXPECT_EQ(conflict.error().code, Code::kConflict);
  EXPECT_EQ(conflict.error().message,
            "create data: a volume of that name exists with other options: it has no o, asked for "
            "was o=size=1m; leave the options out to use it as it is, or remove it first");
  make("plain");
  spec.name = "plain";
  EXPECT_NE(message_of(spec).find("it has no device, no o, no type, asked for was device=x"),
            std::string::npos);
}

TEST_F(VolumesTest, ConflictsShowNoSecrets) {
  Options options{{"type", "cifs"}, {"device", "//host/share"}, {"o", "username=u,password=hush"}};
  ASSERT_TRUE(volumes_->create({"data", "", options, {}}));
  options["o"] = "username=u,password=other,ro";
  auto message = message_of({"data", "", options, {}});
  EXPECT_NE(message.find("it has o=username=u,password=********, asked for was "
                         "o=username=u,password=********,ro;"),
            std::string::npos)
      << message;
}

TEST_F(VolumesTest, ListsWhoHoldsHowMany) {
  make("data");
  make("other");
  ASSERT_TRUE(volumes_->hold(kData, kHolder));
  ASSERT_TRUE(volumes_->mount(kData, kHolder));
  ASSERT_TRUE(volumes_->mount(kData, HolderId("mounter")));
  auto listed = volumes_->list_with_holders();
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].holders, 2u);
  EXPECT_EQ(listed[1].holders, 0u);
}

TEST_F(VolumesTest, AnonymousVolumesHaveDockersNameAndLabel) {
  auto made = volumes_->create({"", "", {}, {}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->volume->name.str().size(), 64u);
  EXPECT_TRUE(made->volume->anonymous());
  EXPECT_EQ(made->volume->labels.at("com.docker.volume.anonymous"), "");
}

// The words are those of dockerd 20.10 and 28.
TEST_F(VolumesTest, RefusesInDockersWords) {
  EXPECT_EQ(message_of({"x/y", "", {}, {}}),
            "create x/y: \"x/y\" includes invalid characters for a local "
            "volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to "
            "pass a host directory, "
            "use absolute path");
  EXPECT_EQ(message_of({"x", "", {}, {}}),
            "create x: volume name is too short, names should be at least two "
            "alphanumeric "
            "characters");
  EXPECT_EQ(message_of({"data", "nodrv", {}, {}}),
            "create data: error looking up volume plugin nodrv: plugin "
            "\"nodrv\" not found");
  EXPECT_EQ(message_of({"data", "", {{"foo", "bar"}}, {}}), "create data: invalid option: \"foo\"");
  EXPECT_EQ(message_of({"data", "", {{"type", "tmpfs"}}, {}}),
            "create data: missing required option: \"device\"");
  EXPECT_EQ(message_of({"data", "", {{"device", "x"}}, {}}),
            "create data: missing required option: \"type\"");
  for (const char* bad : {"..", ".a", "-a", "a b", "ä1", "a\nb"})
    EXPECT_FALSE(message_of({bad, "", {}, {}}).empty()) << bad;
  EXPECT_FALSE(message_of({std::string("a\0b", 3), "", {}, {}}).empty());
  EXPECT_FALSE(message_of({std::string(256, 'a'), "", {}, {}}).empty());
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(fs::is_empty(root_ + "/volumes"));
  EXPECT_EQ(volumes_->get(kData).error().message, "get data: no such volume");
  EXPECT_EQ(volumes_->remove(kData).error().message, "get data: no such volume");
}

TEST_F(VolumesTest, OfFiftyAtOnceOneCreates) {
  std::atomic<int> created = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 50; ++i) {
    threads.emplace_back([&] {
      auto made = volumes_->create({"data", "", {}, {}});
      if (made && !made->existed) ++created;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(created, 1);
  EXPECT_EQ(names(), std::vector<std::string>{"data"});
}

TEST_F(VolumesTest, HeldVolumesStay) {
  make("data");
  ASSERT_TRUE(volumes_->hold(kData, kHolder));
  auto removed = volumes_->remove(kData, true);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().code, Code::kConflict);
  EXPECT_EQ(removed.error().message, "remove data: volume is in use - [0123456789ab]");
  EXPECT_TRUE(volumes_->prune([](const Volume&) { return true; })->removed.empty());
  volumes_->release(kData, kHolder);
  EXPECT_TRUE(volumes_->remove(kData));
  EXPECT_TRUE(names().empty());
}

TEST_F(VolumesTest, NothingGoesBeforeHoldersAreKnown) {
  make("data");
  volumes_.reset();
  volumes_ = *Volumes::open(root_, *store_);
  EXPECT_EQ(volumes_->remove(kData).error().code, Code::kUnavailable);
  EXPECT_TRUE(volumes_->prune_candidates([](const Volume&) { return true; }).empty());
  EXPECT_TRUE(volumes_->prune([](const Volume&) { return true; })->removed.empty());
  volumes_->holders_restored();
  EXPECT_TRUE(volumes_->remove(kData));
}

TEST_F(VolumesTest, HolderGivenAtCreationHoldsFromTheStart) {
  ASSERT_TRUE(volumes_->create({"data", "", {}, {}}, kHolder));
  EXPECT_EQ(volumes_->remove(kData).error().code, Code::kConflict);
  EXPECT_EQ(volumes_->holders(kData), std::vector<HolderId>{kHolder});
}

TEST_F(VolumesTest, RemovedVolumesAreGoneAndGiveTheirSpaceBack) {
  auto volume = make("data");
  std::ofstream(volume->mountpoint + "/file") << "x";
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_FALSE(file_exists(root_ + "/volumes/data"));
  EXPECT_EQ(volumes_->get(kData).error().code, Code::kNotFound);
  EXPECT_TRUE(trash_is_gone());
  auto anew = make("data");
  EXPECT_NE(anew->id, volume->id);
  EXPECT_TRUE(fs::is_empty(anew->mountpoint));
}

// Its row in the table may be gone before its files are.
TEST_F(VolumesTest, VolumesOfManyDirectoriesLeaveNothingInTheTrash) {
  for (int round = 0; round < 10; ++round) {
    make("data");
    for (int i = 0; i < 400; ++i)
      ASSERT_TRUE(make_directories(fmt::format("{}/volumes/data/_data/{}/b/c/d", root_, i), 0755));
    ASSERT_TRUE(volumes_->remove(kData));
    ASSERT_TRUE(trash_is_gone()) << "round " << round;
  }
}

TEST_F(VolumesTest, RemovalOutlivesALostTableRow) {
  make("data");
  make("kept");
  volumes_.reset();
  auto records = *store_->all(RecordKind::kVolume);
  open();
  ASSERT_TRUE(volumes_->remove(kData));
  // As if the power had gone before the row was erased, but after the reply.
  volumes_.reset();
  auto trash = root_ + "/trash/volume-0123";
  ASSERT_TRUE(make_directories(trash + "/_data", 0700));
  for (const auto& record : records) {
    if (record.key == "data") std::ofstream(trash + "/volume.json") << record.document;
  }
  reopen_with_records(records);
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
  EXPECT_TRUE(volumes_->warnings().empty());
  EXPECT_TRUE(trash_is_gone());
  open();
  EXPECT_EQ(names(), std::vector<std::string>{"kept"});
}

TEST_F(VolumesTest, VolumeMadeAnewOutlivesTheRowOfTheOneBefore) {
  make_used("data");
  volumes_.reset();
  auto records = *store_->all(RecordKind::kVolume);
  open();
  ASSERT_TRUE(volumes_->remove(kData));
  auto id = make_used("data")->id;
  // As if the crash had come before either change was committed to the table.
  volumes_.reset();
  auto trash = root_ + "/trash/volume-0123";
  ASSERT_TRUE(make_directories(trash + "/_data", 0700));
  std::ofstream(trash + "/volume.json") << records.at(0).document;
  reopen_with_records(records);
  ASSERT_EQ(names(), std::vector<std::string>{"data"});
  EXPECT_EQ((*volumes_->get(kData))->id, id);
  EXPECT_TRUE(trash_is_gone());
  open();
  ASSERT_EQ(names(), std::vector<std::string>{"data"});
  EXPECT_EQ((*volumes_->get(kData))->id, id);
}

TEST_F(VolumesTest, RecordsAreRebuiltFromTheVolumesThemselves) {
  ASSERT_TRUE(volumes_->create({"data", "", {}, {{"a", "b"}}}));
  auto id = (*volumes_->get(kData))->id;
  ASSERT_TRUE(volumes_->mount(kData, kHolder));
  reopen_with_records({});
  ASSERT_EQ(names(), std::vector<std::string>{"data"});
  EXPECT_EQ((*volumes_->get(kData))->id, id);
  EXPECT_EQ((*volumes_->get(kData))->labels.at("a"), "b");
  reopen_with_records({{"data", "{damaged"}});
  ASSERT_EQ(names(), std::vector<std::string>{"data"});
  EXPECT_EQ((*volumes_->get(kData))->id, id);
}

// What a power cut leaves of a volume that nobody has used yet.
TEST_F(VolumesTest, FreshVolumesAreMadeAgainFromTheirRows) {
  auto id = make("data")->id;
  VolumeSpec spec{"mounted", "", {{"type", "tmpfs"}, {"device", "none"}}, {}};
  ASSERT_TRUE(volumes_->create(spec));
  volumes_.reset();
  fs::remove_all(root_ + "/volumes/data");
  open();
  EXPECT_TRUE(volumes_->warnings().empty());
  EXPECT_EQ((*volumes_->get(kData))->id, id);
  EXPECT_EQ(fs::status(root_ + "/volumes/data/_data").permissions(), fs::perms(0755));
  ASSERT_TRUE(volumes_->mount(kData, kHolder));
  EXPECT_TRUE(file_exists(root_ + "/volumes/data/volume.json"));
  EXPECT_EQ(names(), (std::vector<std::string>{"data", "mounted"}));
}

TEST_F(VolumesTest, FreshVolumesBecomeFirmByThemselves) {
  auto volume = make("data");
  auto sidecar = root_ + "/volumes/data/volume.json";
  auto deadline = std::chrono::steady_clock::now() + 20s;
  auto row = [&] { return store_->get(RecordKind::kVolume, "data")->value_or(""); };
  EXPECT_NE(row().find("\"fresh\":true"), std::string::npos);
  while (row().find("fresh") != std::string::npos && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(row(), volume->to_json());
  EXPECT_EQ(read_file(sidecar).value_or(""), volume->to_json());
}

TEST_F(VolumesTest, RemovedFreshVolumesStayAway) {
  make("data");
  ASSERT_TRUE(volumes_->remove(kData));
  EXPECT_EQ(*store_->get(RecordKind::kVolume, "data"), std::nullopt);
  make("data");
  make("other");
  auto pruned = volumes_->prune([](const Volume&) { return true; });
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->removed.size(), 2u);
  EXPECT_TRUE(store_->all(RecordKind::kVolume)->empty());
  open();
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(trash_is_gone());
}

TEST_F(VolumesTest, VolumesWhoseDataIsMissingStayOnRecord) {
  make_used("data");
  volumes_.reset();
  fs::remove_all(root_ + "/volumes");
  open();
  EXPECT_EQ(names(), std::vector<std::string>{"data"});
  ASSERT_EQ(volumes_->warnings().size(), 1u);
  EXPECT_NE(volumes_->warnings()[0].find("the data of 1 of 1 volumes is missing"),
            std::string::npos);
  EXPECT_EQ(volumes_->mount(kData, kHolder).error().code, Code::kDataLoss);
  EXPECT_FALSE(file_exists(root_ + "/volumes/data"));
}

TEST_F(VolumesTest, UnknownDirectoriesAreLeftAlone) {
  ASSERT_TRUE(make_directories(root_ + "/volumes/strange/_data", 0700));
  std::ofstream(root_ + "/volumes/strange/_data/file") << "x";
  open();
  EXPECT_TRUE(names().empty());
  EXPECT_EQ(volumes_->warnings().size(), 1u);
  EXPECT_TRUE(file_exists(root_ + "/volumes/strange/_data/file"));
  EXPECT_EQ(volumes_->create({"strange", "", {}, {}}).error().code, Code::kConflict);
}

TEST_F(VolumesTest, EmptyTrashIsSweptButForTheReserve) {
  ASSERT_TRUE(make_directories(root_ + "/trash/volume-0123", 0700));
  open();
  EXPECT_TRUE(vanishes(root_ + "/trash/volume-0123"));
  EXPECT_TRUE(file_exists(root_ + "/trash/volume-reserve-0"));
}

TEST_F(VolumesTest, LeftoversOfCreationsAreSwept) {
  ASSERT_TRUE(make_directories(root_ + "/staging/volume-0123/_data", 0700));
  ASSERT_TRUE(make_directories(root_ + "/staging/fill-0123/sub", 0700));
  ASSERT_TRUE(make_directories(root_ + "/staging/layer-of-others", 0700));
  // A power cut that kept the names but not the record's bytes.
  ASSERT_TRUE(make_directories(root_ + "/volumes/half/_data", 0700));
  std::ofstream(root_ + "/volumes/half/volume.json").close();
  ASSERT_TRUE(make_directories(root_ + "/volumes/without/_data", 0700));
  ASSERT_TRUE(make_directories(root_ + "/volumes/zeros/_data", 0700));
  std::ofstream(root_ + "/volumes/zeros/volume.json") << std::string(157, '\0');
  open();
  EXPECT_TRUE(names().empty());
  EXPECT_TRUE(volumes_->warnings().empty());
  EXPECT_FALSE(file_exists(root_ + "/volumes/half"));
  EXPECT_FALSE(file_exists(root_ + "/volumes/zeros"));
  EXPECT_TRUE(vanishes(root_ + "/staging/volume-0123"));
  EXPECT_TRUE(vanishes(root_ + "/staging/fill-0123"));
  EXPECT_TRUE(file_exists(root_ + "/staging/layer-of-others"));
}

TEST_F(VolumesTest, PruneTakesWhatIsUnusedAndWanted) {
  for (const char* name : {"v1", "v2", "v3", "v4"}) {
    auto volume = make(name);
    std::ofstream(volume->mountpoint + "/file") << "12345";
  }
  ASSERT_TRUE(volumes_->hold(VolumeName("v2"), kHolder));
  auto wanted = [](const Volume& volume) { return volume.name.str() != "v3"; };
  EXPECT_EQ(volumes_->prune_candidates(wanted).size(), 2u);
  auto pruned = volumes_->prune(wanted);
  ASSERT_TRUE(pruned);
  EXPECT_EQ(pruned->removed.size(), 2u);
  EXPECT_EQ(pruned->bytes, 10u);
  EXPECT_EQ(names(), (std::vector<std::string>{"v2", "v3"}));
  open();
  EXPECT_EQ(names(), (std::vector<std::string>{"v2", "v3"}));
}

TEST_F(VolumesTest, SizeIsTheSumOfFiles) {
  auto volume = make("data");
  std::ofstream(volume->mountpoint + "/a") << std::string(1000, 'x');
  EXPECT_EQ(volumes_->size(kData, 10s), 1000u);
  EXPECT_EQ(volumes_->size(VolumeName("none"), 1s), std::nullopt);
}

class PopulateTest : public VolumesTest {
 protected:
  PopulateTest() {
    EXPECT_TRUE(make_directories(source_ + "/sub", 0755));
    std::ofstream(source_ + "/sub/file") << "content";
    EXPECT_EQ(::chmod(source_.c_str(), 0751), 0);
    make("data");
  }
  Result<Volumes::Filled> populate() {
    return volumes_->populate(kData, *open_file(source_, O_RDONLY | O_DIRECTORY));
  }
  std::string mountpoint() { return root_ + "/volumes/data/_data"; }

  std::string source_ = directory_ / "source";
};

TEST_F(PopulateTest, FillsAnEmptyVolumeOnce) {
  auto filled = populate();
  ASSERT_TRUE(filled) << filled.error().message;
  EXPECT_TRUE(*filled);
  EXPECT_EQ(read_file(mountpoint() + "/sub/file").value(), "content");
  EXPECT_EQ(fs::status(mountpoint()).permissions(), fs::perms(0751));
  std::ofstream(source_ + "/later") << "x";
  EXPECT_FALSE(*populate());
  EXPECT_FALSE(file_exists(mountpoint() + "/later"));
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
}

TEST_F(PopulateTest, OfTwentyAtOnceOneFills) {
  for (int i = 0; i < 500; ++i) std::ofstream(source_ + "/f" + std::to_string(i)) << i;
  std::atomic<int> fills = 0, incomplete = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 20; ++i) {
    threads.emplace_back([&, i] {
      HolderId holder("holder-" + std::to_string(i));
      auto filled = populate();
      if (filled && *filled) ++fills;
      auto mounted = volumes_->mount(kData, holder);
      // Whoever may use it sees all of it.
      for (int file = 0; mounted && file < 500; ++file) {
        struct stat status = {};
        if (::fstatat(mounted->root.get(), ("f" + std::to_string(file)).c_str(), &status, 0) != 0)
          ++incomplete;
      }
      if (!filled || !mounted) ++incomplete;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(fills, 1);
  EXPECT_EQ(incomplete, 0);
}

TEST_F(PopulateTest, LeavesFilesOfTheVolumeAlone) {
  std::ofstream(mountpoint() + "/mine") << "x";
  EXPECT_FALSE(*populate());
  EXPECT_FALSE(file_exists(mountpoint() + "/sub"));
  EXPECT_TRUE(file_exists(mountpoint() + "/mine"));
}

TEST_F(PopulateTest, FillsAMountedVolumeWhereItIs) {
  auto mounted = volumes_->mount(kData, kHolder);
  ASSERT_TRUE(mounted);
  ASSERT_TRUE(*populate());
  struct stat status = {};
  EXPECT_EQ(::fstatat(mounted->root.get(), "sub/file", &status, 0), 0);
  EXPECT_EQ(std::distance(fs::directory_iterator(mountpoint()), fs::directory_iterator()), 1);
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
}

TEST_F(PopulateTest, TakesOwnerAndModeOverFromAnEmptySource) {
  fs::remove_all(source_ + "/sub");
  EXPECT_FALSE(*populate());
  EXPECT_EQ(fs::status(mountpoint()).permissions(), fs::perms(0751));
  EXPECT_TRUE(fs::is_empty(mountpoint()));
}

TEST_F(PopulateTest, InterruptedFillInPlaceIsUndoneOrFinished) {
  std::string id(32, 'a');
  std::ofstream(root_ + "/staging/fill-" + id + ".json")
      << "{\"volume\":\"data\",\"id\":\"" + id + "\"}";
  ASSERT_TRUE(make_directories(mountpoint() + "/.holdfast-fill-" + id + "/half", 0755));
  open();
  auto mounted = volumes_->mount(kData, kHolder);
  ASSERT_TRUE(mounted) << mounted.error().message;
  EXPECT_TRUE(fs::is_empty(mountpoint()));
  EXPECT_TRUE(fs::is_empty(root_ + "/staging"));

  std::ofstream(root_ + "/staging/fill-" + id + ".json")
      << "{\"volume\":\"data\",\"id\":\"" + id + "\"}";
  ASSERT_TRUE(make_directories(mountpoint() + "/.holdfast-full-" + id + "/rest", 0755));
  ASSERT_TRUE(make_directories(mountpoint() + "/moved", 0755));
  open();
  EXPECT_FALSE(*populate());
  EXPECT_TRUE(file_exists(mountpoint() + "/rest"));
  EXPECT_TRUE(file_exists(mountpoint() + "/moved"));
  EXPECT_EQ(std::distance(fs::directory_iterator(mountpoint()), fs::directory_iterator()), 2);
}

TEST_F(PopulateTest, InterruptedFillWithoutRenamesIsUndoneInItsOwnVolumeOnly) {
  std::string id(32, 'a');
  auto leave_marker = [&](const std::string& volume_id) {
    std::ofstream(root_ + "/staging/fill-" + id + ".json") << fmt::format(
        R"({{"volume":"data","volume_id":"{}","id":"{}","names":["sub"]}})", volume_id, id);
    ASSERT_TRUE(make_directories(mountpoint() + "/sub/half", 0755));
    ASSERT_TRUE(make_directories(mountpoint() + "/somebody's", 0755));
    open();
    ASSERT_TRUE(volumes_->mount(kData, kHolder));
    EXPECT_TRUE(fs::is_empty(root_ + "/staging"));
  };
  leave_marker(std::string(32, 'e'));  // of a volume that had the name before
  EXPECT_TRUE(file_exists(mountpoint() + "/sub/half"));
  leave_marker((*volumes_->get(kData))->id);
  EXPECT_FALSE(file_exists(mountpoint() + "/sub"));
  EXPECT_TRUE(file_exists(mountpoint() + "/somebody's"));
}

}  // namespace
}  // namespace holdfast
