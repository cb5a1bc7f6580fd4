#include "storage/migrate/foreign_root.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "base/file.h"
#include "os/mountinfo.h"
#include "os/safe_path.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_size.h"
#include "storage/driver/local/mount_options.h"
#include "storage/migrate/sqlite_lock.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

constexpr const char* kDockerDatabase = "volumes/metadata.db";
constexpr const char* kDockerOptions = "opts.json";
constexpr std::array kPodmanBolt = {"libpod/bolt_state.db"};
constexpr std::array kPodmanSqlite = {"db.sql", "libpod/db.sql"};
constexpr std::size_t kLargestDatabase = 64 << 20;
constexpr std::size_t kLargestOptions = 1 << 20;

// A regular file below `root`, by no symlink.
Result<UniqueFd> open_plain(BorrowedFd root, const std::string& path) {
  auto slash = path.rfind('/');
  BorrowedFd parent = root;
  UniqueFd directory;
  if (slash != std::string::npos) {
    ASSIGN_OR_RETURN(directory, open_directory(root, path.substr(0, slash).c_str()));
    parent = directory;
  }
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  ASSIGN_OR_RETURN(auto file, open_file_at(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalidArgument, "\"{}\" is no file", path);
  return file;
}

// Of a directory: when it was made as far as its file system tells, else when it last changed.
Time time_of(BorrowedFd directory) {
  struct statx status = {};
  if (::statx(directory.get(), "", AT_EMPTY_PATH, STATX_BTIME | STATX_MTIME, &status) != 0)
    return now();
  auto& time = (status.stx_mask & STATX_BTIME) != 0 ? status.stx_btime : status.stx_mtime;
  return Time(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

// Calls off a count when its time is over.
class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds budget)
      : thread_([this, end = std::chrono::steady_clock::now() + budget] {
          std::unique_lock lock(mutex_);
          ended_.wait_until(lock, end, [this] { return done_; });
          over_ = true;
        }) {}
  ~Deadline() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    ended_.notify_all();
    thread_.join();
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  const std::atomic<bool>& over() const { return over_; }

 private:
  std::mutex mutex_;  // guards done_
  std::condition_variable ended_;
  bool done_ = false;
  std::atomic<bool> over_{false};
  std::thread thread_;
};

// A file system that is mounted on `path` or below it.
std::string mounted_below(const std::vector<MountEntry>& mounts, const std::string& path) {
  for (const auto& mount : mounts)
    if (mount.target == path || mount.target.starts_with(path + "/")) return mount.target;
  return "";
}

// Names and words that others have chosen, fit for a terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

std::string words_of(const MountCensus::User& user) {
  return fmt::format("process {} ({})", user.pid, printable(user.command));
}

}  // namespace

Result<ForeignEngine> parse_foreign_engine(std::string_view name) {
  if (name == "docker") return ForeignEngine::kDocker;
  if (name == "podman") return ForeignEngine::kPodman;
  return fail(Code::kInvalidArgument,
              "unknown engine \"{}\": volumes can be taken over from \"docker\" and \"podman\"",
              name);
}

std::string usual_root(ForeignEngine engine) {
  return engine == ForeignEngine::kDocker ? "/var/lib/docker" : "/var/lib/containers/storage";
}

Result<ForeignRoot> ForeignRoot::open(ForeignEngine engine, const std::string& path) {
  if (!path.starts_with('/') || path.find('\0') != std::string::npos)
    return fail(Code::kInvalidArgument, "root \"{}\" is no absolute path", path.c_str());
  ForeignRoot root(engine);
  ASSIGN_OR_RETURN(root.root_, open_file(path, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(root.path_, path_of(root.root_));
  struct stat status = {};
  if (::fstat(root.root_.get(), &status) != 0) return fail_errno("stat \"{}\"", path);
  root.owned_by_root_ = status.st_uid == 0;
  auto lacks = [&](std::string_view what) {
    return fail(Code::kInvalidArgument, "\"{}\" is no data root of {}: it has no {}", path,
                engine == ForeignEngine::kDocker ? "Docker" : "Podman", what);
  };
  bool known = engine == ForeignEngine::kDocker
                   ? root.has(kDockerDatabase)
                   : std::any_of(kPodmanBolt.begin(), kPodmanBolt.end(),
                                 [&](const char* name) { return root.has(name); }) ||
                         std::any_of(kPodmanSqlite.begin(), kPodmanSqlite.end(),
                                     [&](const char* name) { return root.has(name); });
  if (!known)
    return lacks(engine == ForeignEngine::kDocker ? "\"volumes/metadata.db\""
                                                  : "\"db.sql\" and no \"libpod/bolt_state.db\"");
  auto volumes = open_directory(root.root_, "volumes");
  // Podman makes it with the first volume.
  if (!volumes && (volumes.error().sys_errno != ENOENT || engine == ForeignEngine::kDocker))
    return tl::unexpected(std::move(volumes).error().wrap(path));
  if (volumes) root.volumes_ = std::move(*volumes);
  return root;
}

bool ForeignRoot::has(const std::string& name) const { return open_plain(root_, name).has_value(); }

// dockerd keeps an exclusive flock(2) on its database for as long as it runs; a shared one is in
// its way as another dockerd would be.
Status ForeignRoot::keep_stopped() {
  if (engine_ != ForeignEngine::kDocker) return {};
  ASSIGN_OR_RETURN(lock_, open_plain(root_, kDockerDatabase));
  if (::flock(lock_.get(), LOCK_SH | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return fail_errno("lock \"{}/{}\"", path_, kDockerDatabase);
  return fail(Code::kConflict,
              "dockerd runs on \"{}\": stop it first (systemctl stop docker.socket "
              "docker.service), or say that the volumes are to be copied while they may be "
              "written to (--live)",
              path_);
}

Result<ForeignRecords> ForeignRoot::read_bolt(const std::string& name) const {
  ASSIGN_OR_RETURN(auto file, open_plain(root_, name));
  ASSIGN_OR_RETURN(auto database, BoltFile::read(file, path_ + "/" + name, kLargestDatabase));
  return engine_ == ForeignEngine::kDocker ? docker_records(database) : podman_records(database);
}

Result<ForeignRecords> ForeignRoot::read_sqlite(const std::string& name) const {
  std::string path = path_ + "/" + name;
  ASSIGN_OR_RETURN(auto file, open_plain(root_, name));
  ASSIGN_OR_RETURN(auto lock, SqliteReadLock::take(file, path));
  for (const char* suffix : {"-journal", "-wal"}) {
    auto left = open_plain(root_, name + suffix);
    struct stat status = {};
    if (!left || ::fstat(left->get(), &status) != 0 || status.st_size == 0) continue;
    if (suffix[1] == 'j' && lock.writer_at_work()) continue;  // it hasn't changed anything yet
    return fail(Code::kUnavailable,
                "\"{}{}\" holds changes that are not in the database yet: run a command of "
                "Podman's (podman volume ls), which takes them in",
                path, suffix);
  }
  auto bytes = read_all(file, kLargestDatabase);
  if (!bytes) return tl::unexpected(std::move(bytes).error().wrap(path));
  return podman_sqlite_records(std::move(*bytes), path);
}

Result<ForeignRecords> ForeignRoot::records() const {
  if (engine_ == ForeignEngine::kDocker) return read_bolt(kDockerDatabase);
  ForeignRecords records;
  for (const char* name : kPodmanBolt) {
    if (!has(name)) continue;
    ASSIGN_OR_RETURN(auto found, read_bolt(name));
    records.merge(found);
  }
  for (const char* name : kPodmanSqlite) {
    if (!has(name)) continue;
    ASSIGN_OR_RETURN(auto found, read_sqlite(name));
    records.merge(found);
  }
  return records;
}

Result<std::vector<std::string>> ForeignRoot::names() const {
  std::vector<std::string> names;
  if (!volumes_) return names;
  ASSIGN_OR_RETURN(auto readable, open_directory(volumes_, ""));
  while (true) {
    ASSIGN_OR_RETURN(auto batch, read_batch(readable));
    if (!batch) return names;
    while (auto entry = batch->next()) {
      struct stat status = {};
      if (::fstatat(volumes_.get(), entry->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
          S_ISDIR(status.st_mode))
        names.emplace_back(entry->name);
    }
  }
}

Result<UniqueFd> ForeignRoot::open_volume(const std::string& name) const {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos)
    return fail(Code::kInvalidArgument, "\"{}\" is no volume's name", name);
  if (!volumes_) return fail(Code::kNotFound, "\"{}\" has no volumes", path_);
  return open_directory(volumes_, name.c_str());
}

void ForeignRoot::forget(const std::string& name) const {
  ::unlinkat(volumes_.get(), name.c_str(), AT_REMOVEDIR);
}

Result<std::string> ForeignRoot::user_of(const std::string& name) const {
  ASSIGN_OR_RETURN(auto directory, open_volume(name));
  ASSIGN_OR_RETURN(auto census, MountCensus::take());
  ASSIGN_OR_RETURN(auto user, census.user_of(directory));
  return user ? words_of(*user) : std::string();
}

// What lies in volumes/<name>. An error says why it can't be taken over.
Status ForeignRoot::describe_files(ForeignVolume& volume, const ForeignRecords& records) const {
  auto directory = open_volume(volume.name);
  if (!directory) {
    auto record = records.find(volume.name);
    std::string there = record == records.end() ? "" : record->second.mountpoint;
    if (directory.error().sys_errno == ENOENT)
      return fail(Code::kDataLoss, "its files are missing{}{}", there.empty() ? "" : ": ",
                  printable(there));
    return tl::unexpected(std::move(directory).error());
  }
  if (volume.created == Time{}) volume.created = time_of(*directory);
  if (engine_ == ForeignEngine::kDocker) {
    auto file = open_plain(*directory, kDockerOptions);
    if (file) {
      ASSIGN_OR_RETURN(auto document, read_all(*file, kLargestOptions));
      auto options = docker_options(document);
      if (!options) return tl::unexpected(std::move(options).error().wrap(kDockerOptions));
      volume.options = std::move(*options);
    } else if (file.error().sys_errno == ENOENT) {
      volume.options.clear();
    } else {
      return tl::unexpected(std::move(file).error());
    }
  }
  if (has_mount(volume.options)) return {};
  volume.path = fmt::format("{}/volumes/{}/{}", path_, volume.name, layout::kData);
  auto data = open_directory(*directory, layout::kData);
  if (!data && data.error().sys_errno == ENOENT)
    return fail(Code::kDataLoss, "its files are missing: {}", volume.path);
  if (!data) return fail(Code::kInvalidArgument, "its _data is no directory, or a symlink");
  volume.has_files = true;
  return {};
}

ForeignVolume ForeignRoot::describe(const std::string& name, const ForeignRecords& records) const {
  ForeignVolume volume;
  volume.name = name;
  volume.driver = "local";
  if (auto found = records.find(name); found != records.end()) {
    volume.driver = found->second.driver;
    volume.labels = found->second.labels;
    volume.options = found->second.options;
    volume.created = found->second.created.value_or(Time{});
  }
  Status status;
  // dockerd takes every directory for a volume, Podman those on record only.
  if (engine_ == ForeignEngine::kPodman && !records.contains(name))
    status = fail(Code::kNotFound, "Podman has no record of it");
  else if (volume.driver != "local")
    status = fail(Code::kNotImplemented,
                  "its files are kept by the driver \"{}\": make a volume with that driver here",
                  printable(volume.driver));
  if (status) status = describe_files(volume, records);
  if (status) status = check_volume_name(name);
  if (!status) volume.problem = printable(status.error().message);
  volume.name = printable(name);
  volume.driver = printable(volume.driver);
  return volume;
}

void ForeignRoot::note_users(std::vector<ForeignVolume>& volumes) const {
  auto census = MountCensus::take();
  auto mounts = read_mount_table();
  for (auto& volume : volumes) {
    if (!volume.has_files) continue;
    // Files of other file systems would be left out by a move, and be another's in a copy.
    if (auto below = mounts ? mounted_below(*mounts, volume.path) : ""; !below.empty()) {
      volume.problem = fmt::format("a file system is mounted on \"{}\"", below);
      continue;
    }
    auto directory = open_volume(volume.name);
    if (!directory || !census) continue;
    auto user = census->user_of(*directory);
    if (user && *user) volume.user = words_of(**user);
  }
}

Result<std::vector<ForeignVolume>> ForeignRoot::volumes() const {
  ASSIGN_OR_RETURN(auto records, this->records());
  ASSIGN_OR_RETURN(auto directories, names());
  std::set<std::string> all(directories.begin(), directories.end());
  for (const auto& [name, record] : records) all.insert(name);
  std::vector<ForeignVolume> volumes;
  for (const auto& name : all) volumes.push_back(describe(name, records));
  note_users(volumes);
  return volumes;
}

void ForeignRoot::measure(std::vector<ForeignVolume>& volumes,
                          std::chrono::milliseconds budget) const {
  Deadline deadline(budget);
  for (auto& volume : volumes) {
    if (!volume.has_files || deadline.over()) continue;
    auto directory = open_volume(volume.name);
    if (!directory) continue;
    auto data = open_directory(*directory, layout::kData);
    if (!data) continue;
    if (auto size = tree_size(*data, &deadline.over())) volume.size = *size;
  }
}

}  // namespace holdfast
