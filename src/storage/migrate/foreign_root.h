#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/unique_fd.h"
#include "os/mount_census.h"
#include "storage/migrate/foreign_records.h"

namespace holdfast {

enum class ForeignEngine { kDocker, kPodman };

// "docker", "podman"; kInvalidArgument naming what there is.
Result<ForeignEngine> parse_foreign_engine(std::string_view name);
// Where that engine keeps its data when nobody says otherwise: of Podman, root's.
std::string usual_root(ForeignEngine engine);

// A volume of another engine, as it might become one of ours. A value.
struct ForeignVolume {
  std::string name;  // fit for a terminal; with a problem, perhaps not the name there
  std::string driver;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> options;
  Time created;
  std::string path;        // of its files; empty: they are where its options or its driver say
  bool has_files = false;  // whether there are files to take over
  std::optional<std::uint64_t> size;  // of them; nullopt: not counted
  std::string problem;  // why it can't be taken over; empty: nothing stands against it
  std::string user;     // who has it mounted now; empty: nobody
};

// The data root of another engine: `volumes/<name>/_data` and the database beside. It may belong to
// a user who means no good, and be in use: it is only read, and below the root no symlink is
// followed. Nothing is taken over from it here (Volumes::adopt() does that). Movable; for one
// thread at a time.
class ForeignRoot {
 public:
  // `path` is absolute; symlinks in it are followed, as whoever names it knows them. kNotFound,
  // kInvalidArgument where it is no such root.
  static Result<ForeignRoot> open(ForeignEngine engine, const std::string& path);

  const std::string& path() const { return path_; }
  BorrowedFd directory() const { return root_; }

  // Keeps the engine's daemon from starting until this object ends. kConflict while it runs. Podman
  // has none: what a container uses is told by ForeignVolume::user alone.
  Status keep_stopped();

  // All volumes, ordered by name, without sizes. kDataLoss for a damaged database.
  Result<std::vector<ForeignVolume>> volumes() const;

  // Fills in the sizes that can be counted until then.
  void measure(std::vector<ForeignVolume>& volumes, std::chrono::milliseconds budget) const;

  // The volume's own directory, to take its `_data` from.
  Result<UniqueFd> open_volume(const std::string& name) const;

  // Takes away the volume's own directory once its files were moved out of it, if nothing else is
  // in there. The only change that is ever made there beside that move.
  void forget(const std::string& name) const;

  // Whoever has the files mounted now, as in "process 17 (postgres)"; empty: nobody.
  Result<std::string> user_of(const std::string& name) const;

  // Whether files there may be device nodes: those of users can't be theirs to make.
  bool owned_by_root() const { return owned_by_root_; }

 private:
  explicit ForeignRoot(ForeignEngine engine) : engine_(engine) {}

  Result<ForeignRecords> records() const;
  Result<ForeignRecords> read_bolt(const std::string& name) const;
  Result<ForeignRecords> read_sqlite(const std::string& name) const;
  bool has(const std::string& name) const;
  Result<std::vector<std::string>> names() const;
  ForeignVolume describe(const std::string& name, const ForeignRecords& records) const;
  Status describe_files(ForeignVolume& volume, const ForeignRecords& records) const;
  void note_users(std::vector<ForeignVolume>& volumes) const;

  ForeignEngine engine_;
  std::string path_;  // without symlinks
  UniqueFd root_;
  UniqueFd volumes_;
  UniqueFd lock_;
  bool owned_by_root_ = false;
};

}  // namespace holdfast
