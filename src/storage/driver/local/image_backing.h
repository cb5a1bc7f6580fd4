#pragma once

#include "os/loop_device.h"
#include "os/mount.h"
#include "storage/driver/local/mount_deadlines.h"
#include "storage/driver/local/size_backing.h"

namespace holdfast {

// Sized volumes anywhere else: a sparse file with an ext4, mounted on _data through a loop device
// while the volume is in use. Of the blocks in it, all beyond the limit are held back (os/ext4.h)
// before anybody sees the mount; raising the limit gives some of them out, lowering it takes free
// ones away, both at once.
class ImageBacking : public SizeBacking {
 public:
  explicit ImageBacking(const MountDeadlines& deadlines);

  std::string_view name() const override { return "image file"; }
  bool suits(BorrowedFd) override { return true; }
  Result<bool> has(const SizedVolume& volume) override;
  Status create(const SizedVolume& volume) override;
  Status adopt(const SizedVolume& volume) override;
  Result<UniqueFd> mount(const SizedVolume& volume) override;
  Status unmount(const SizedVolume& volume) override;
  Result<Use> use(const SizedVolume& volume) override;
  Status resize(const SizedVolume& volume, bool mounted) override;

 private:
  // A mounted image: where it is mounted, and the device it is mounted through.
  struct Mounted {
    UniqueFd root;
    std::string device;
  };
  struct Detached {
    DetachedMount mount;
    std::string device;
  };
  Result<Detached> mount_detached(OpenedPath image, std::uint64_t limit);
  Result<std::optional<Mounted>> find_mounted(const SizedVolume& volume);
  Status replace_by_larger(const SizedVolume& volume, const OpenedPath& image);
  Result<Detached> mount_sound(const SizedVolume& volume);
  Status make_new(const SizedVolume& volume);
  Status put_in_place(const SizedVolume& volume);
  Status finish_adoption(const SizedVolume& volume);
  Status grow_mounted(const SizedVolume& volume, const Mounted& mounted);

  const MountDeadlines deadlines_;
  const bool grows_mounted_;  // CAP_SYS_RESOURCE
};

}  // namespace holdfast
