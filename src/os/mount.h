#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// The kernel's mount calls by file descriptor (open_tree(2), fsopen(2), move_mount(2),
// mount_setattr(2)). Everything here needs CAP_SYS_ADMIN.
namespace holdfast {

enum class Propagation { kPrivate, kShared, kSlave, kUnbindable };
enum class AccessTime { kRelative, kNone, kStrict };

// What to change about a mount; what has no value stays as it is.
struct MountAttributes {
  std::optional<bool> read_only;
  std::optional<bool> no_suid;
  std::optional<bool> no_dev;
  std::optional<bool> no_exec;
  std::optional<bool> no_symlink_follow;
  std::optional<AccessTime> access_time;
  std::optional<Propagation> propagation;
  BorrowedFd id_map_namespace{-1};  // a user namespace: files appear owned as it maps them
  bool recursive = false;           // the mounts beneath it too

  bool empty() const;
};

// A mount that hangs in the tree. Destruction unmounts it (lazily: nobody waits for open files),
// unless commit()ed: then whoever recorded it owns it. One owner; not thread-safe.
class MountGuard {
 public:
  MountGuard(MountGuard&&) noexcept = default;
  MountGuard& operator=(MountGuard&& other) noexcept;
  ~MountGuard() { unmount(); }

  // An O_PATH descriptor of the mount's root; while it is held the mount is busy.
  BorrowedFd root() const { return root_; }
  // Gives the mount up to whoever recorded it; returns the descriptor of its root.
  UniqueFd commit() { return std::move(root_); }

 private:
  friend class DetachedMount;
  explicit MountGuard(UniqueFd root) : root_(std::move(root)) {}
  void unmount();

  UniqueFd root_;
};

// A mount that hangs nowhere yet; it is gone when this is destroyed. One owner; not thread-safe.
class DetachedMount {
 public:
  // For a descriptor that already is a detached mount's root.
  explicit DetachedMount(UniqueFd root) : root_(std::move(root)) {}

  // A bind: what `directory`/`path` names (a directory or a file; `path` empty: `directory`
  // itself), with the mounts beneath it if `recursive`. A symlink at the end of `path` is not
  // followed.
  static Result<DetachedMount> clone(BorrowedFd directory, const std::string& path, bool recursive);

  BorrowedFd root() const { return root_; }
  // The mount as a bare descriptor, which keeps it.
  UniqueFd release() && { return std::move(root_); }

  // mount_setattr(2). kNotImplemented when the file system cannot map ids.
  Status set(const MountAttributes& attributes);

  // Hangs the mount on `directory`/`path` (`path` empty: on `directory` itself). `where` names the
  // place in errors. A symlink at the end of `path` is not followed. After failure the mount is
  // gone.
  Result<MountGuard> attach(BorrowedFd directory, const std::string& path,
                            const std::string& where) &&;

 private:
  UniqueFd root_;
};

// One option of a file system: a flag ("ro"), or a key with a value or an open file.
struct MountOption {
  std::string key;
  std::optional<std::string> value;
  BorrowedFd file{-1};
};

// A new mount of file system `type` ("tmpfs", "proc", "ext4", …) made by fsopen(2). `source` may be
// empty. Errors end with what the kernel's log for this mount says, if anything. Options that
// belong to the mount, not the file system (ro, nosuid, …), go into `attributes`; read_only of
// `attributes` makes the file system read-only as well.
Result<DetachedMount> mount_filesystem(const std::string& type, const std::string& source,
                                       const std::vector<MountOption>& options,
                                       const MountAttributes& attributes = {});

// The parts of an overlay. `lower` is ordered from the topmost down, up to 500 (the kernel's
// limit); without `upper` it is read-only and needs two lowers. All are directories; O_PATH
// descriptors will do.
struct OverlayParts {
  std::vector<BorrowedFd> lower;
  BorrowedFd upper{-1};
  BorrowedFd work{-1};
  std::vector<MountOption> options;  // "volatile", "userxattr", "metacopy", …
};

// How layers are handed to the kernel: by descriptor (6.14), by name one by one (6.5), or in one
// option string that holds 4095 bytes, with names kept to a few digits. kProbe takes the first that
// works.
enum class OverlayMethod { kProbe, kDescriptors, kNames, kOneString };

Result<DetachedMount> mount_overlay(const OverlayParts& parts,
                                    OverlayMethod method = OverlayMethod::kProbe);

// umount2(2) of the topmost mount at `path`, which is not followed if it is a symlink. `lazy` takes
// it out of the tree even when busy. kInvalidArgument when nothing is mounted there; kConflict when
// it is busy.
Status unmount(const std::string& path, bool lazy);

// mount_setattr(2) on a mount in the tree.
Status set_mount_attributes(BorrowedFd directory, const std::string& path,
                            const MountAttributes& attributes);

}  // namespace holdfast
