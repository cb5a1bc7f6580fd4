#include "storage/migrate/foreign_root.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "storage/migrate/bolt_writer.h"
#include "storage/temporary_directory.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using W = BoltWriter;
using Strings = std::map<std::string, std::string>;

void write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

class ForeignRootTest : public testing::Test {
 protected:
  std::string at(const std::string& path) const { return directory_ / path; }

  void docker_database(const std::vector<W::Element>& volumes) {
    write(at("volumes/metadata.db"),
          W::file({W::leaf(3, {{"volumes", W::bucket(4), 1}}), W::leaf(4, volumes)}));
  }
  void podman_database(const std::vector<std::pair<std::string, std::string>>& volumes) {
    std::vector<W::Element> buckets;
    for (const auto& [name, config] : volumes)
      buckets.push_back(
          {name, W::bucket(0, W::leaf(0, {{"config", config, 0}, {"state", "{}", 0}}, true)), 1});
    write(at("libpod/bolt_state.db"),
          W::file({W::leaf(3, {{"vol", W::bucket(4), 1}}), W::leaf(4, buckets)}));
  }
  void sqlite_database(const std::string& sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(at("db.sql").c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }
  void volume(const std::string& name) { write(at("volumes/" + name + "/_data/file"), "12345"); }

  std::map<std::string, ForeignVolume> find(ForeignEngine engine) {
    auto root = ForeignRoot::open(engine, directory_.path());
    EXPECT_TRUE(root) << root.error().message;
    if (!root) return {};
    auto volumes = root->volumes();
    EXPECT_TRUE(volumes) << volumes.error().message;
    if (!volumes) return {};
    root->measure(*volumes, 10s);
    std::map<std::string, ForeignVolume> found;
    for (auto& volume : *volumes) found.emplace(volume.name, volume);
    return found;
  }
  std::string failure(ForeignEngine engine) {
    auto root = ForeignRoot::open(engine, directory_.path());
    if (!root) return root.error().message;
    auto volumes = root->volumes();
    return volumes ? "" : volumes.error().message;
  }

  TemporaryDirectory directory_;
};

constexpr auto kDocker = ForeignEngine::kDocker;
constexpr auto kPodman = ForeignEngine::kPodman;

TEST_F(ForeignRootTest, FindsDockersVolumes) {
  docker_database({{"data", R"({"Name":"data","Driver":"local","Labels":{"a":"b"}})", 0},
                   {"gone", R"({"Name":"gone","Driver":"local"})", 0},
                   {"plug", R"({"Name":"plug","Driver":"rclone:latest","Options":{"x":"y"}})", 0}});
  volume("data");
  volume("unrecorded");
  volume("net");
  write(at("volumes/net/opts.json"),
        R"({"MountType":"nfs","MountOpts":"addr=1.2.3.4","MountDevice":":/x","Quota":{"Size":0}})");
  volume("limited");
  write(at("volumes/limited/opts.json"), R"({"Quota":{"Size":1048576}})");
  auto found = find(kDocker);
  ASSERT_EQ(found.size(), 6U);
  EXPECT_EQ(found["data"].labels, (Strings{{"a", "b"}}));
  EXPECT_EQ(found["data"].problem, "");
  EXPECT_EQ(found["data"].size, 5U);
  EXPECT_EQ(found["data"].path, at("volumes/data/_data"));
  EXPECT_TRUE(found["data"].has_files);
  EXPECT_NE(found["data"].created, Time{});
  EXPECT_EQ(found["unrecorded"].problem, "");
  EXPECT_EQ(found["net"].options,
            (Strings{{"type", "nfs"}, {"o", "addr=1.2.3.4"}, {"device", ":/x"}}));
  EXPECT_FALSE(found["net"].has_files);
  EXPECT_EQ(found["limited"].options, (Strings{{"size", "1048576"}}));
  EXPECT_TRUE(found["limited"].has_files);
  EXPECT_THAT(found["gone"].problem, HasSubstr("its files are missing"));
  EXPECT_THAT(found["plug"].problem, HasSubstr("\"rclone:latest\""));
}

TEST_F(ForeignRootTest, FollowsNoSymlinks) {
  TemporaryDirectory elsewhere;
  write(elsewhere / "secret/_data/file", "secret");
  docker_database({});
  fs::create_directories(at("volumes/data"));
  fs::create_symlink(elsewhere / "secret/_data", at("volumes/data/_data"));
  fs::create_symlink(elsewhere / "secret", at("volumes/link"));
  volume("options");
  fs::create_symlink("/etc/hostname", at("volumes/options/opts.json"));
  auto found = find(kDocker);
  EXPECT_EQ(found["data"].problem, "its _data is no directory, or a symlink");
  EXPECT_FALSE(found["data"].has_files);
  EXPECT_FALSE(found.contains("link"));
  EXPECT_NE(found["options"].problem, "");

  fs::remove(at("volumes/metadata.db"));
  fs::create_symlink(elsewhere / "secret/_data/file", at("volumes/metadata.db"));
  EXPECT_THAT(failure(kDocker), HasSubstr("is no data root of Docker"));
}

TEST_F(ForeignRootTest, NamesThatAreNoneAreToldWithoutControlCharacters) {
  docker_database({});
  volume("x");
  volume("bad\x1b[2Jname");
  volume("-dash");
  auto found = find(kDocker);
  EXPECT_THAT(found["x"].problem, HasSubstr("too short"));
  EXPECT_THAT(found["-dash"].problem, HasSubstr("invalid characters"));
  ASSERT_TRUE(found.contains("bad?[2Jname"));
  EXPECT_EQ(found["bad?[2Jname"].problem.find('\x1b'), std::string::npos);
}

TEST_F(ForeignRootTest, SaysWhatIsNoRootAndWhatIsDamaged) {
  EXPECT_THAT(failure(kDocker), HasSubstr("no data root of Docker"));
  EXPECT_THAT(failure(kPodman), HasSubstr("no data root of Podman"));
  write(at("volumes/metadata.db"), std::string(32768, 'x'));
  EXPECT_THAT(failure(kDocker), HasSubstr("volumes/metadata.db\" is damaged"));
  write(at("libpod/bolt_state.db"), "");
  EXPECT_THAT(failure(kPodman), HasSubstr("libpod/bolt_state.db\" is damaged"));
  fs::remove(at("libpod/bolt_state.db"));
  write(at("db.sql"), std::string(8192, 'x'));
  EXPECT_THAT(failure(kPodman), HasSubstr("db.sql"));
  fs::remove(at("db.sql"));
  ASSERT_EQ(::mkfifo(at("db.sql").c_str(), 0600), 0);
  EXPECT_THAT(failure(kPodman), HasSubstr("no data root of Podman"));
  EXPECT_FALSE(ForeignRoot::open(kDocker, "relative"));
}

TEST_F(ForeignRootTest, SeesThatDockerRuns) {
  docker_database({});
  auto root = ForeignRoot::open(kDocker, directory_.path());
  ASSERT_TRUE(root);
  {
    auto daemon = open_file(at("volumes/metadata.db"), O_RDWR);
    ASSERT_TRUE(daemon);
    ASSERT_EQ(::flock(daemon->get(), LOCK_EX | LOCK_NB), 0);
    auto stopped = root->keep_stopped();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, Code::kConflict);
    EXPECT_THAT(stopped.error().message, HasSubstr("systemctl stop docker"));
    EXPECT_TRUE(root->volumes());
  }
  EXPECT_TRUE(root->keep_stopped());
  auto daemon = open_file(at("volumes/metadata.db"), O_RDWR);
  EXPECT_NE(::flock(daemon->get(), LOCK_EX | LOCK_NB), 0);
}

constexpr const char* kPodmanConfig =
    R"({"name":"data","lockID":3,"labels":{"a":"b"},"volumeDriver":"local",
        "mountPoint":"/elsewhere/data/_data","createdAt":"2026-11-27T14:01:22.402955837Z",
        "isAnon":true,"uid":0,"gid":0,"size":0})";

TEST_F(ForeignRootTest, FindsPodmansVolumes) {
  podman_database(
      {{"data", kPodmanConfig},
       {"owned", R"({"name":"owned","volumeDriver":"","volumeOptions":
                     {"o":"uid=1000,gid=1000","UID":"1000","GID":"1000"}})"},
       {"tmp", R"({"volumeDriver":"local","volumeOptions":
                   {"type":"tmpfs","device":"tmpfs","o":"size=1m"}})"},
       {"bound", R"({"volumeDriver":"local","volumeOptions":{"type":"bind","device":"/srv"}})"},
       {"limited", R"({"volumeDriver":"local","size":4096,"volumeOptions":{"o":"size=4k"}})"},
       {"pic", R"({"volumeDriver":"image","volumeOptions":{"image":"x"}})"},
       {"gone", R"({"volumeDriver":"local","mountPoint":"/mnt/gone/_data"})"},
       {"noise", "no json"}});
  for (const char* name : {"data", "owned", "tmp", "bound", "limited", "left"}) volume(name);
  auto found = find(kPodman);
  EXPECT_EQ(found["data"].labels, (Strings{{"a", "b"}}));
  EXPECT_EQ(to_rfc3339(found["data"].created), "2026-11-27T14:01:22.402955837Z");
  EXPECT_EQ(found["data"].options, Strings{});
  EXPECT_EQ(found["data"].problem, "");
  EXPECT_EQ(found["owned"].options, Strings{});
  EXPECT_EQ(found["owned"].driver, "local");
  EXPECT_EQ(found["tmp"].options,
            (Strings{{"type", "tmpfs"}, {"device", "tmpfs"}, {"o", "size=1m"}}));
  EXPECT_EQ(found["bound"].options, (Strings{{"type", "none"}, {"device", "/srv"}, {"o", "bind"}}));
  EXPECT_EQ(found["limited"].options, (Strings{{"size", "4096"}}));
  EXPECT_THAT(found["pic"].problem, HasSubstr("\"image\""));
  EXPECT_THAT(found["gone"].problem, HasSubstr("missing: /mnt/gone/_data"));
  EXPECT_EQ(found["left"].problem, "Podman has no record of it");
}

TEST_F(ForeignRootTest, FindsVolumesOfPodmansSqliteDatabase) {
  sqlite_database(fmt::format(
      "CREATE TABLE VolumeConfig(Name TEXT PRIMARY KEY NOT NULL, StorageID TEXT, JSON TEXT NOT "
      "NULL); INSERT INTO VolumeConfig VALUES('data', NULL, '{}')",
      kPodmanConfig));
  volume("data");
  auto before = *read_file(at("db.sql"));
  auto found = find(kPodman);
  EXPECT_EQ(found["data"].labels, (Strings{{"a", "b"}}));
  EXPECT_EQ(*read_file(at("db.sql")), before);
  write(at("db.sql-wal"), "changes");
  EXPECT_THAT(failure(kPodman), HasSubstr("db.sql-wal\" holds changes"));
  write(at("db.sql-wal"), "");
  write(at("db.sql-journal"), "changes");
  EXPECT_THAT(failure(kPodman), HasSubstr("db.sql-journal\" holds changes"));
}

TEST_F(ForeignRootTest, ReadsAWriteAheadDatabaseWhoseLogIsEmpty) {
  sqlite_database(fmt::format(
      "PRAGMA journal_mode=WAL; CREATE TABLE VolumeConfig(Name TEXT, StorageID TEXT, JSON TEXT);"
      "INSERT INTO VolumeConfig VALUES('data', NULL, '{}')",
      kPodmanConfig));
  volume("data");
  EXPECT_EQ(find(kPodman)["data"].labels, (Strings{{"a", "b"}}));
}

// A database can hold more than data.
TEST_F(ForeignRootTest, RunsNothingThatASqliteDatabaseSays) {
  sqlite_database(
      "CREATE VIEW VolumeConfig AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) "
      "SELECT i AS Name, '{}' AS JSON FROM n");
  EXPECT_THAT(failure(kPodman), HasSubstr("db.sql"));
}

TEST_F(ForeignRootTest, SurvivesSqliteDatabasesThatAreDamaged) {
  sqlite_database(fmt::format(
      "CREATE TABLE VolumeConfig(Name TEXT PRIMARY KEY NOT NULL, StorageID TEXT, JSON TEXT);"
      "INSERT INTO VolumeConfig VALUES('data', NULL, '{}')",
      kPodmanConfig));
  auto whole = *read_file(at("db.sql"));
  for (std::size_t i = 0; i < whole.size(); i += 13) {
    auto bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 0xff);
    static_cast<void>(podman_sqlite_records(std::move(bytes), "db.sql"));
    static_cast<void>(podman_sqlite_records(whole.substr(0, i), "db.sql"));
  }
}

TEST_F(ForeignRootTest, RefusesNamesThatLeadElsewhere) {
  docker_database({{"..", R"({"Driver":"local"})", 0}, {"a/b", R"({"Driver":"local"})", 0}});
  auto root = ForeignRoot::open(kDocker, directory_.path());
  ASSERT_TRUE(root);
  for (const char* name : {"..", ".", "", "a/b", "/etc"})
    EXPECT_EQ(root->open_volume(name).error().code, Code::kInvalidArgument) << name;
  for (const auto& [name, volume] : find(kDocker)) EXPECT_NE(volume.problem, "") << name;
}

}  // namespace
}  // namespace holdfast
