#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "storage/driver/driver_table.h"
#include "storage/volume/layout.h"
#include "storage/volume/operation_slots.h"
#include "storage/volume/record_index.h"
#include "storage/volume/volumes.h"

// The inside of Volumes, shared by the files of this folder only.
namespace holdfast {

// One volume in memory. Without `volume` it is a name that somebody holds
// although it isn't there.
struct VolumeEntry {
  VolumePtr volume;
  std::set<HolderId> holders;
  std::set<HolderId> mounters;
  Time last_used;                           // zero: never
  bool going = false;                       // being removed: nobody may take it into use
  bool fresh = false;                       // only its row is sure to be on the disk (fresh.cc)
  bool recovered = false;                   // fresh by a row of an earlier daemon
  std::string unfinished_fill;              // id of a fill in place that a crash interrupted
  std::optional<Volume> unfinished_update;  // the record that a crash kept from coming
  std::optional<std::uint64_t> size;
  std::chrono::steady_clock::time_point size_known_at;
  bool measuring = false;

  bool in_use() const { return !holders.empty() || !mounters.empty(); }
  std::set<HolderId> users() const {
    auto all = holders;
    all.insert(mounters.begin(), mounters.end());
    return all;
  }
};

struct Volumes::Impl {
  Impl(VolumeDirectories opened, Store& store_, PluginOptions plugins,
       const MountDeadlines& deadlines)
      : directories(std::move(opened)),
        drivers(directories, std::move(plugins), deadlines),
        store(store_) {}

  VolumeDirectories directories;
  DriverTable drivers;
  Store& store;
  std::vector<std::string> warnings;  // written by open() alone
  OperationSlots slots;               // taken before `mutex`, held across slow work
  std::atomic<bool> stopping{false};
  std::atomic<bool> sync_failed{false};

  mutable std::mutex mutex;  // guards what follows; never held across a system call
  std::map<std::string, VolumeEntry> entries;
  bool holders_known = false;
  std::condition_variable measured;
  // Volumes whose plugin may still have to be told of holders that left, and whether somebody is at
  // it.
  std::set<std::string> unsettled;
  bool settling = false;
  // Fresh volumes that somebody is to make firm, and whether he is at it.
  std::vector<std::string> fresh_names;
  bool firming = false;
  std::condition_variable woken;

  // Last, so that they end first: their tasks use what is above.
  ThreadPool janitors{2};  // gives space back, measures
  ThreadPool committers{1};
  ThreadPool firmers{1};
  RecordIndex index{store, committers};

  // volumes.cc
  Result<VolumePtr> find(const VolumeName& name) const;
  Status check_health() const;
  // Notes a failed sync: what the page cache holds can't be trusted then, so
  // nothing is changed any more.
  Status noted(Status sync);
  Result<Volumes::Created> existing(const VolumeSpec& spec, const std::optional<HolderId>& holder,
                                    bool& absent);

  // creation.cc
  // With `theirs`, the driver has the volume already.
  Status make_firm(const Volume& volume, bool theirs);
  Status make_fresh(const Volume& volume);
  Status lay_out(const Volume& volume);
  Status build(const Volume& volume, bool theirs, const std::string& staged, UniqueFd& sidecar);
  Status move_in(const Volume& volume, const std::string& staged, BorrowedFd sidecar);
  tl::unexpected<Error> name_taken(const VolumeName& name) const;
  VolumePtr publish(Volume volume, const std::optional<HolderId>& holder, bool fresh = false);

  // fresh.cc
  bool is_fresh(const VolumeName& name) const;
  bool is_recovered(const VolumeName& name) const;
  Status firm_up(const Volume& volume);
  void firm_up_later(const std::string& name);
  void firm_up_queued();
  std::vector<std::string> firm_up_together(const std::vector<std::string>& names);
  void note_firm(const Volume& volume);
  void remake_fresh();
  void resume_firming();

  // remote.cc
  bool is_remote(const Volume& volume);
  std::string first_mountpoint(const Volume& volume);
  OperationSlots::Turn enter(const std::string& name);
  Status reconcile_with_plugin(const VolumeSpec& spec);
  Status forget(const VolumeName& name);
  Result<VolumePtr> take_from_plugin(const VolumeName& name);
  void note_mountpoint(const VolumeName& name, const std::string& mountpoint);
  Status unmount_remote(OperationSlots::Turn turn, const VolumePtr& volume, const HolderId& holder);
  void settle_later(const std::string& name);
  void settle_all();
  bool settle(const std::string& name, std::set<std::string>& silent);

  // measuring.cc
  std::optional<std::uint64_t> measure(const Volume& volume);
  void begin_measuring(VolumeEntry& entry);

  // mounting.cc
  void note_use(const VolumeName& name);
  void unmount_unused(const VolumeName& name);

  // update.cc
  Status replace_sidecar(BorrowedFd directory, const Volume& volume);
  Status change_record(const VolumePtr& from, const Volume& to);
  Status settle_updates();
  void finish_update(const VolumeName& name);

  // rename.cc
  Result<VolumePtr> may_rename(const VolumeName& from, const VolumeName& to,
                               const std::set<HolderId>& known);
  Status move_directory(const Volume& from, const Volume& to);
  Status undo_rename(const Volume& from, const VolumeName& to);
  Status rename(const Volume& from, const Volume& to, Time last_used, Batch also);
  Status undo_renames();

  // adoption.cc
  Status may_adopt(const VolumeSpec& spec);
  Status copy_files_in(const std::string& staged, const Adoption& adoption);
  Status adopt_by_copy(const Volume& volume, const Adoption& adoption);
  Status adopt_by_move(const Volume& volume, const Adoption& adoption);

  // removal.cc
  Result<VolumePtr> begin_removal(const VolumeName& name);
  void end_removal(const VolumeName& name, bool removed);
  Status take_away(const VolumePtr& volume, bool force, bool gone = false);

  // trash.cc
  struct Removal {
    VolumePtr volume;
    std::string trash_id;  // under trash/; empty: there was no directory
    bool fresh = false;
  };
  // With `gone`, its driver has it no more.
  Result<Removal> move_to_trash(VolumePtr volume, bool force, bool gone = false);
  Status sync_removals(const std::vector<Removal>& removals);
  void take_back(const Removal& removal);
  void keep_reserves();
  void discard(const Removal& removal);
  void delete_trash(const std::string& id, bool sidecar_too);
  void delete_staged(const std::string& name);

  // populate.cc
  Result<Filled> fill(const Volume& volume, BorrowedFd source, bool may_replace,
                      const std::string& unfinished, const HostPathJudge& judge);
  Result<Filled> fill_by_replacing(const Volume& volume, BorrowedFd directory, BorrowedFd source);
  Result<Filled> fill_in_place(const Volume& volume, BorrowedFd root, BorrowedFd source);
  Result<bool> mark_fill(const Volume& volume, BorrowedFd root, BorrowedFd source,
                         const std::string& id);
  Status finish_fill(const Volume& volume, BorrowedFd root, const std::string& id);
  Status forget_fill(const std::string& id);

  // recovery.cc
  Status recover();
  Status load_records();
  Status compare_directories(std::vector<std::string>& names);
  void report_missing(const std::vector<std::string>& names);
  void adopt(const std::string& name);
  bool discard_leftover(const std::string& name);
  Status sort_trash();
  Status finish_adoptions();
  Status sweep_staging();
  VolumeEntry* filled_by(const json::Object& marker);
};

// What the spec asks for, with an id of its own and made now.
Volume new_volume(const VolumeSpec& spec);

// Docker puts the verb and the name in front of what a volume operation reports.
tl::unexpected<Error> about(const char* verb, const std::string& name, const Error& error);
tl::unexpected<Error> no_such_volume(const VolumeName& name);
// Whether a directory of that name in trash/ is kept for a full disk, while it is empty.
bool is_reserve(const std::string& name);
// "id, id"
std::string join_ids(const std::set<HolderId>& holders);

// "volume.json" of a volume's own directory. What is written isn't synced.
Result<Volume> read_sidecar(BorrowedFd directory);
Result<UniqueFd> write_sidecar(BorrowedFd directory, const Volume& volume);

// recovery.cc. What is in a directory.
Result<std::vector<std::string>> names_in(BorrowedFd directory);

// populate.cc. In staging/, of a fill in place by that id.
std::string fill_marker(const std::string& id);

}  // namespace holdfast
