#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/typed_id.h"
#include "base/unique_fd.h"
#include "state/store.h"
#include "storage/copy/tree_copy.h"
#include "storage/driver/host_path_judge.h"
#include "storage/driver/local/mount_deadlines.h"
#include "storage/driver/plugin/plugins.h"
#include "storage/driver/volume_driver.h"
#include "storage/volume/volume.h"

namespace holdfast {

// A volume that somebody may use: its root directory, to be mounted or resolved beneath by
// descriptor.
struct MountedVolume {
  UniqueFd root;     // O_PATH; on the mounted file system, never on the bare directory beneath one
  std::string path;  // the same on the host
};

// All volumes of a data root. Created and owned by the daemon's main, one per data root (which is
// locked by then). All methods may be called from any thread. Operations on one volume wait for
// each other, those on different volumes never do; no lock is held across a sync, a mount or a
// copy.
//
// On disk (volume/layout.h draws it) a volume is there when volumes/<name>/ is, or its row in the
// store before anybody has used it; creation.cc and trash.cc tell how it comes and goes. Whoever
// uses a volume is an opaque HolderId. Who holds what is not recorded here: after open() nothing
// may be removed until the owners of the holders have named them all again and holders_restored()
// was called.
class Volumes {
 public:
  // Opens or makes volumes/, staging/ and trash/ under `data_root`, undoes or finishes what a crash
  // interrupted. A volume that cannot be read is kept and reported by warnings(), and stops nobody.
  static Result<std::unique_ptr<Volumes>> open(const std::string& data_root, Store& store,
                                               PluginOptions plugins = {},
                                               const MountDeadlines& deadlines = {});
  ~Volumes();  // finishes what is under way; trash that is left is deleted after the next open()

  // To be called once what is mounted was named by remount(): what else is mounted is unmounted,
  // and plugins that were away begin to hear of the holders that left meanwhile.
  void start_background();
  // Ends calls to plugins, now and for good: the daemon is stopping.
  void interrupt();

  // What open() found out of order, for the log.
  const std::vector<std::string>& warnings() const;

  struct Created {
    VolumePtr volume;
    bool existed;  // a volume of that name and driver was there, on record or only at its plugin;
                   // its labels are unchanged
  };
  // Durable on return; of many at once for one name, one creates. With `holder`, the volume is held
  // from the first moment, so that no prune comes between. Errors are Docker's: kInvalidArgument
  // (name, options), kConflict (another driver has the name), kNotFound (no such driver). A name
  // without a driver is looked for at the plugins, too. Beyond Docker, which would hand out the old
  // volume as if it were the one asked for: kConflict where options were asked for and the volume
  // has others. Paths of the host among the options are judged: kPermissionDenied.
  Result<Created> create(const VolumeSpec& spec, const std::optional<HolderId>& holder = {},
                         const HostPathJudge& judge = {});

  // How files of another engine become a volume's: copied, with blocks shared where the file system
  // can; the same, and an error where it can't; or moved, so that they are gone there.
  enum class AdoptBy { kCopy, kReflink, kMove };
  struct Adoption {
    VolumeSpec spec;  // named, of the driver "local", and without a limit of size
    Time created;
    BorrowedFd source{-1};  // a directory whose entry _data has the files; none: options say where
    AdoptBy by = AdoptBy::kCopy;
    bool include_devices = false;
    const std::atomic<bool>* cancelled = nullptr;
    std::atomic<std::uint64_t>* copied = nullptr;  // counts on by bytes
    // Asked when all is copied, before the volume is there: an error undoes it.
    std::function<Status()> confirm;
  };
  // Whether a volume may be made of it: kAlreadyExists where the name is taken, else as create().
  Status may_adopt(const VolumeSpec& spec);
  // Makes a volume with the files of another engine's, all or nothing, and durable on return. A
  // move that a crash interrupts is finished by the next open(), or hasn't begun. Whatever lies on
  // another file system below the source is an error. kCancelled, kNotImplemented (blocks can't be
  // shared), kInvalidArgument (a move between file systems).
  Result<VolumePtr> adopt(const Adoption& adoption);

  // What is on record. kNotFound: `get data: no such volume`.
  Result<VolumePtr> get(const VolumeName& name) const;
  std::vector<VolumePtr> list() const;  // ordered by name
  // The same, with how many hold each: all of one moment.
  struct Listed {
    VolumePtr volume;
    std::size_t holders = 0;
    Time last_used = {};  // the last start or end of a use; zero: never, as far as is known
  };
  std::vector<Listed> list_with_holders() const;

  // The same with what plugins say: volumes of theirs that are not on record, and none that they
  // have no more (unless somebody holds it). A plugin that doesn't answer in a moment is left to
  // answer later: its volumes on record are listed, and those it had when it was last heard.
  struct Listing {
    std::vector<Listed> volumes;                // ordered by name
    std::map<std::string, std::string> scopes;  // of drivers that are not "local"
    std::vector<std::string> warnings;          // of plugins that were not heard

    const std::string& scope_of(const Volume& volume) const;
  };
  Listing list_all();
  // One volume, on record or not, and what its driver says of it.
  struct Look {
    VolumePtr volume;
    VolumeSight sight;
    std::string problem;  // why the driver says nothing; empty: it did
    std::vector<HolderId> holders;
    Time last_used;  // as in Listed
  };
  Result<Look> look(const VolumeName& name);

  // `local` and the plugins that are there.
  std::vector<std::string> drivers() const;
  std::vector<PluginState> plugins();

  // Who uses a volume. Holding again and releasing what is not held are success. hold() of a volume
  // that is not there is kNotFound, and it is remembered all the same: should the volume's data
  // come back, it is in use.
  Status hold(const VolumeName& name, const HolderId& holder);
  void release(const VolumeName& name, const HolderId& holder);
  std::vector<HolderId> holders(const VolumeName& name) const;
  void holders_restored();

  // Durable on return; its space is given back soon after. kConflict (`remove data: volume is in
  // use - [ids]`), kNotFound, kUnavailable before holders_restored(). `force` removes the record
  // even if the driver fails; it never bypasses holders. A volume that only a plugin knows is
  // removed there.
  Status remove(const VolumeName& name, bool force = false);

  // What changes of a volume; no value takes the label or option away.
  struct Change {
    std::map<std::string, std::optional<std::string>> labels;
    std::map<std::string, std::optional<std::string>> options;
  };
  // Durable on return, all or nothing; of many at once for one volume, one after the other.
  // Options change where its driver can do that: kInvalidArgument or kConflict says why not. As
  // they will be then, they are judged.
  Result<VolumePtr> update(const VolumeName& name, const Change& change,
                           const HostPathJudge& judge = {});

  // Durable on return, all or nothing, and together with the changes of `also`, in which the owners
  // of holders note the new name. An anonymous volume is a named one from then on. kConflict where
  // the new name is taken, or while the volume is mounted or held by others than `known`;
  // kNotImplemented for a plugin's.
  Result<VolumePtr> rename(const VolumeName& from, const VolumeName& to,
                           const std::set<HolderId>& known, Batch also);

  // The volumes that nobody holds and `wanted` accepts; never those of plugins, as with Docker.
  std::vector<Listed> prune_candidates(const std::function<bool(const Volume&)>& wanted) const;
  struct Pruned {
    std::vector<VolumePtr> removed;
    std::uint64_t bytes = 0;
    std::vector<std::string> failures;
  };
  // Removes them, all with one sync. A volume that is taken into use meanwhile stays.
  Result<Pruned> prune(const std::function<bool(const Volume&)>& wanted);

  // Makes the volume's files reachable for `holder` (which also counts as holding it), mounting
  // what its driver or options say on the first mount. Mounting again is success and gives another
  // descriptor. Paths of the host that the options name are judged each time, for this holder.
  Result<MountedVolume> mount(const VolumeName& name, const HolderId& holder,
                              const HostPathJudge& judge = {});
  // `holder` has had it mounted since before the daemon started. Waits for no plugin.
  Status remount(const VolumeName& name, const HolderId& holder);
  // Unmounts after the last. Not mounted by `holder`: success. A plugin that can't be told now is
  // told when it is back, whatever happens to the daemon meanwhile; the error says so.
  Status unmount(const VolumeName& name, const HolderId& holder);

  // Fills an empty volume with the content of `source` (any readable directory descriptor): owners,
  // modes, times, attributes, ACLs, hard links, symlinks, holes and FIFOs are kept, as far as the
  // volume's file system knows them, devices and sockets left out; the root's owner and mode are
  // taken over too. All or nothing, and durable on return; of many at once, one copies and the
  // others wait. It is mounted for it, and so judged.
  struct Filled {
    bool filled = false;   // false: it wasn't empty
    CopyRefusals refused;  // by the volume's file system
    explicit operator bool() const { return filled; }
  };
  Result<Filled> populate(const VolumeName& name, BorrowedFd source,
                          const HostPathJudge& judge = {});

  // Sum of the sizes of its files, each counted once, as Docker counts; of a volume that is a file
  // system, what is used of that. nullopt when it is not known, for good (files of a plugin, of a
  // server, or elsewhere on the host) or within `budget`: then the count goes on, and a later call
  // has it. A size may be some seconds old.
  std::optional<std::uint64_t> size(const VolumeName& name, std::chrono::milliseconds budget);
  // Of many, within one budget for all of them.
  std::vector<std::optional<std::uint64_t>> sizes(const std::vector<VolumeName>& names,
                                                  std::chrono::milliseconds budget);

 private:
  struct Impl;
  explicit Volumes(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
