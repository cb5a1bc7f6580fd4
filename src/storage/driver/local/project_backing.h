#pragma once

#include <mutex>
#include <set>

#include "os/project_quota.h"
#include "storage/driver/local/size_backing.h"

namespace holdfast {

// Sized volumes on ext4 or XFS mounted with prjquota: _data is a directory of a project of its own,
// which has the limit. Ids are given out here alone. One is taken only when the file system has
// neither a limit nor files for it: whoever else hands out projects there (another daemon, Docker,
// xfs_quota's /etc/projid) has left it alone.
class ProjectBacking : public SizeBacking {
 public:
  explicit ProjectBacking(const ProjectQuota& quota) : quota_(quota) {}

  std::string_view name() const override { return "project quota"; }
  bool suits(BorrowedFd directory) override;
  Result<bool> has(const SizedVolume& volume) override;
  Status create(const SizedVolume& volume) override;
  Status adopt(const SizedVolume& volume) override;
  Result<UniqueFd> mount(const SizedVolume& volume) override;
  Status unmount(const SizedVolume&) override { return {}; }
  Result<Use> use(const SizedVolume& volume) override;
  Status resize(const SizedVolume& volume, bool mounted) override;

 private:
  Result<std::uint32_t> take_project(BorrowedFd directory, std::uint64_t limit);
  Status enforce(BorrowedFd data, std::uint64_t limit);

  const ProjectQuota& quota_;
  std::mutex mutex_;                // guards what follows
  std::set<std::uint32_t> taking_;  // ids being tried by another thread
};

// Gives the project of directory `directory`/`name` back, if it is of one. Its files count for
// nobody from then on.
Status dispose_of_project(const ProjectQuota& quota, BorrowedFd directory, const std::string& name);

}  // namespace holdfast
