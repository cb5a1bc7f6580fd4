#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/typed_id.h"
#include "os/id_map.h"
#include "os/mount.h"

namespace holdfast {

// Where a container's own files lie, and the only place that spells their paths:
//
//   <data-root>/containers/<id>/upper      its writable layer
//                               work       overlayfs's workspace
//                               log        stdout and stderr as conmon writes them
//                               hosts resolv.conf hostname
//                               overlay/<n>/upper, work   above a source mounted with O
//   <data-root>/containers/.removed-<id>   on its way out; deleted at leisure, and at the next
//   start
//
// Thread-safe: it has no state but the root.
class ContainerFolders {
 public:
  explicit ContainerFolders(std::string data_root) : data_root_(std::move(data_root)) {}

  std::string folder(const ContainerId& id) const { return data_root_ + "/containers/" + id.str(); }
  std::string upper(const ContainerId& id) const { return folder(id) + "/upper"; }
  std::string log(const ContainerId& id) const { return folder(id) + "/log"; }
  std::string file(const ContainerId& id, const std::string& name) const {
    return folder(id) + "/" + name;
  }

  // Makes containers/ with the modes that keep other users out.
  Status prepare() const;
  Status create(const ContainerId& id) const;
  // Takes the folder out of sight at once; sweep() deletes what was taken. Missing is success.
  Status discard(const ContainerId& id) const;
  // Deletes what was discarded. Blocks; for a background thread.
  void sweep() const;
  // Ids of the folders that are there, for recovery.
  Result<std::vector<ContainerId>> ids() const;

  // Empty directories for the writable layer above the source of mount number `number`, in place of
  // those an earlier run left.
  struct Overlay {
    UniqueFd upper;
    UniqueFd work;
  };
  Result<Overlay> make_overlay(const ContainerId& id, std::size_t number) const;
  // Deletes them all. Missing is success.
  Status remove_overlays(const ContainerId& id) const;

  // The root file system: the image's layers (topmost first) below the writable layer. `unsynced`
  // leaves syncing of the writable layer out, for containers that go with their exit. With `users`
  // the files appear owned as that namespace maps them; on the disk their owners stay the image's
  // and the container's.
  Result<DetachedMount> mount_root(const ContainerId& id, const std::vector<std::string>& layers,
                                   bool unsynced,
                                   const std::optional<UserNamespace>& users = {}) const;

 private:
  const std::string data_root_;
};

// The layers of an image alone, read-only: an open directory, and the mount that keeps it.
class ImageRoot {
 public:
  static Result<ImageRoot> open(const std::vector<std::string>& layers,
                                const std::optional<UserNamespace>& users = {});
  BorrowedFd fd() const { return mount_ ? mount_->root() : layers_[0].borrow(); }
  // The directory `path` of the image, for reading, with symlinks resolved inside the image. Where
  // one layer alone has all that is in it, it is the one of that layer, with which a copy can share
  // blocks; it may have marks of overlayfs in it: device nodes, and attributes trusted.overlay.*.
  Result<UniqueFd> open_content(const std::string& path) const;
  // As a mount of its own, to be bound into a container.
  Result<DetachedMount> take() &&;

 private:
  Result<UniqueFd> open_in_sole_layer(const std::string& path) const;

  std::vector<UniqueFd> layers_;        // topmost first
  std::optional<DetachedMount> mount_;  // of several layers, or of a mapped one
};

}  // namespace holdfast
