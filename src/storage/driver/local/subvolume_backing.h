#pragma once

#include <atomic>

#include "storage/driver/local/size_backing.h"

namespace holdfast {

// Sized volumes on btrfs: _data is a subvolume. It and the subvolumes that are made in it are
// members of one quota group, which has the limit. Its number is kLevel << 48 | id of _data: ids of
// subvolumes are never used again, so no two volumes ever share a group.
class SubvolumeBacking : public SizeBacking {
 public:
  static constexpr std::uint64_t kLevel = 18502;  // "HF"; others use 1, 2, …

  std::string_view name() const override { return "btrfs quota group"; }
  bool suits(BorrowedFd directory) override;
  Result<bool> has(const SizedVolume& volume) override;
  Status create(const SizedVolume& volume) override;
  Status adopt(const SizedVolume& volume) override;
  Result<UniqueFd> mount(const SizedVolume& volume) override;
  Status unmount(const SizedVolume&) override { return {}; }
  Result<Use> use(const SizedVolume& volume) override;
  Status resize(const SizedVolume& volume, bool mounted) override;
};

// Deletes the subvolume `directory`/`name`, of a volume or half made, and its quota group. A plain
// directory goes file by file.
Status dispose_of_subvolume(BorrowedFd directory, const std::string& name,
                            const std::atomic<bool>* cancelled = nullptr);

}  // namespace holdfast
