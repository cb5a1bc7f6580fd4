#pragma once

#include <linux/fs.h>

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// The two calls that project quotas take, behind which a test may stand. -1 and errno on failure.
class ProjectQuotaCalls {
 public:
  virtual ~ProjectQuotaCalls() = default;
  // FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR.
  virtual int attributes(int fd, unsigned long request, fsxattr& attributes) = 0;
  // quotactl_fd(2), or quotactl(2) where the kernel has only that (before 5.14).
  virtual int quotactl(int fd, unsigned command, std::uint32_t id, void* argument) = 0;
};

// Project quotas of XFS and ext4, mounted with prjquota: a limit for all files that carry one
// project's id, which directories marked so hand on to what is made in them. Thread-safe.
class ProjectQuota {
 public:
  ProjectQuota();  // the kernel's calls
  explicit ProjectQuota(ProjectQuotaCalls& calls) : calls_(calls) {}

  // Whether the file system of `directory` holds files to the limits of their projects now.
  bool enforced(BorrowedFd directory) const;

  // The project that `directory` hands on; 0: none.
  Result<std::uint32_t> project_of(BorrowedFd directory) const;
  // Puts a file or directory into the project; a directory hands it on.
  Status put_into(BorrowedFd file, std::uint32_t project, bool is_directory) const;

  struct Account {
    std::uint64_t used = 0;   // bytes
    std::uint64_t limit = 0;  // bytes; 0: none
    std::uint64_t files = 0;
    bool unused() const { return used == 0 && limit == 0 && files == 0; }
  };
  Result<Account> read(BorrowedFd directory, std::uint32_t project) const;
  // Sets the limit and reads it back: some file systems round, some don't keep what they can't.
  Status limit(BorrowedFd directory, std::uint32_t project, std::uint64_t bytes) const;

 private:
  ProjectQuotaCalls& calls_;
};

}  // namespace holdfast
