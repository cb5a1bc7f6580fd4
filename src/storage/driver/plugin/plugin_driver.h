#pragma once

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "storage/driver/plugin/mount_ledger.h"
#include "storage/driver/plugin/plugin_client.h"
#include "storage/driver/volume_driver.h"

namespace holdfast {

// The volumes of one plugin, as its List and Get tell.
struct PluginVolume {
  std::string name;
  std::string mountpoint;  // as the plugin says, for people to see: not opened, not checked
  std::optional<Time> created;
  json::Object status;
};

// Volumes that a plugin keeps. Ours is the record and, while it is mounted, the ledger of whom it
// is mounted for; everything else is asked of the plugin. What it answers is checked, above all
// where it says that a volume's files are. Owned by Plugins; thread-safe, for one volume by one
// thread at a time.
class PluginDriver : public VolumeDriver {
 public:
  PluginDriver(std::string name, PluginSurroundings& surroundings,
               const std::vector<std::string>& private_roots)
      : client_(std::move(name), surroundings), private_roots_(private_roots) {}

  Status check(const Volume& volume, const HostPathJudge& judge) override;
  Result<bool> has(const Volume& volume) override;
  Status create(const Volume& volume, BorrowedFd directory) override;
  Status remove(const Volume& volume, BorrowedFd directory) override;
  Result<UniqueFd> mount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                         const HostPathJudge& judge) override;
  Status unmount(const Volume& volume, BorrowedFd directory, const HolderId& holder,
                 bool last) override;
  Status update(const Volume& from, const Volume& to, BorrowedFd directory, bool mounted) override;
  // Only the plugin can tell: look().
  json::Object status(const Volume&, BorrowedFd) override { return {}; }
  bool is_directory(const Volume&) const override { return false; }
  bool is_remote() const override { return true; }
  Status remount(const Volume& volume, BorrowedFd directory, const HolderId& holder) override;
  Result<bool> settle(const Volume& volume, BorrowedFd directory,
                      const std::set<HolderId>& mounters) override;
  std::string mountpoint(const Volume& volume, BorrowedFd directory) const override;
  Result<VolumeSight> look(const Volume& volume) override;

  // What the plugin has. Names that can't be a volume's are left out.
  Result<std::vector<PluginVolume>> list();
  // nullopt: the plugin says that there is none. An error: it isn't known.
  Result<std::optional<PluginVolume>> get(const VolumeName& name);

  PluginClient& client() { return client_; }

 private:
  Status tell_unmount(const Volume& volume, BorrowedFd directory, MountLedger& ledger,
                      const HolderId& holder);
  Result<std::string> tell_mount(const Volume& volume, BorrowedFd directory, MountLedger& ledger,
                                 const HolderId& holder);

  // Whether the volume has been mounted for `holder` in this daemon's time, or since before it
  // started without an end. An entry of the ledger alone may be from before a reboot.
  bool relied_on(const Volume& volume, const HolderId& holder) const;
  void rely(const Volume& volume, const HolderId& holder, bool on);

  PluginClient client_;
  const std::vector<std::string>& private_roots_;
  mutable std::mutex mutex_;                           // guards what follows
  std::set<std::pair<std::string, HolderId>> relied_;  // the volume's id, and who
};

}  // namespace holdfast
