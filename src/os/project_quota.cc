#include "os/project_quota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "os/mountinfo.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kQuotaBlock = 512;  // dqblk_xfs.h, on every file system

unsigned command(unsigned xfs_command) { return QCMD(xfs_command, PRJQUOTA); }

class KernelCalls : public ProjectQuotaCalls {
 public:
  int attributes(int fd, unsigned long request, fsxattr& attributes) override {
    return ::ioctl(fd, request, &attributes);
  }
  int quotactl(int fd, unsigned quota_command, std::uint32_t id, void* argument) override {
    auto result = ::syscall(SYS_quotactl_fd, fd, quota_command, id, argument);
    if (result == 0 || errno != ENOSYS) return static_cast<int>(result);
    auto entry = mount_of(BorrowedFd(fd));
    if (!entry) {
      errno = ENOSYS;
      return -1;
    }
    return static_cast<int>(
        ::syscall(SYS_quotactl, quota_command, entry->source.c_str(), id, argument));
  }
};

KernelCalls& kernel_calls() {
  static KernelCalls calls;  // has no state
  return calls;
}

}  // namespace

ProjectQuota::ProjectQuota() : calls_(kernel_calls()) {}

bool ProjectQuota::enforced(BorrowedFd directory) const {
  fs_quota_statv state = {};
  state.qs_version = FS_QSTATV_VERSION1;
  return calls_.quotactl(directory.get(), command(Q_XGETQSTATV), 0, &state) == 0 &&
         (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

Result<std::uint32_t> ProjectQuota::project_of(BorrowedFd directory) const {
  fsxattr attributes = {};
  if (calls_.attributes(directory.get(), FS_IOC_FSGETXATTR, attributes) != 0) {
    if (errno == ENOTTY || errno == EOPNOTSUPP) return 0;
    return fail_errno("read project of a directory");
  }
  return (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0 ? attributes.fsx_projid : 0;
}

Status ProjectQuota::put_into(BorrowedFd file, std::uint32_t project, bool is_directory) const {
  fsxattr attributes = {};
  if (calls_.attributes(file.get(), FS_IOC_FSGETXATTR, attributes) != 0)
    return fail_errno("read project of a file");
  attributes.fsx_projid = project;
  if (is_directory) attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (calls_.attributes(file.get(), FS_IOC_FSSETXATTR, attributes) != 0)
    return fail_errno("put a file into project {}", project);
  return {};
}

Result<ProjectQuota::Account> ProjectQuota::read(BorrowedFd directory,
                                                 std::uint32_t project) const {
  fs_disk_quota quota = {};
  if (calls_.quotactl(directory.get(), command(Q_XGETQUOTA), project, &quota) != 0) {
    if (errno == ENOENT) return Account{};  // nobody has used that id yet
    return fail_errno("read quota of project {}", project);
  }
  return Account{quota.d_bcount * kQuotaBlock, quota.d_blk_hardlimit * kQuotaBlock, quota.d_icount};
}

Status ProjectQuota::limit(BorrowedFd directory, std::uint32_t project, std::uint64_t bytes) const {
  fs_disk_quota quota = {};
  quota.d_version = FS_DQUOT_VERSION;
  quota.d_flags = FS_PROJ_QUOTA;
  quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
  quota.d_id = project;
  quota.d_blk_hardlimit = bytes / kQuotaBlock;
  quota.d_blk_softlimit = quota.d_blk_hardlimit;
  if (calls_.quotactl(directory.get(), command(Q_XSETQLIM), project, &quota) != 0)
    return fail_errno("set quota of project {}", project);
  ASSIGN_OR_RETURN(auto account, read(directory, project));
  if (account.limit == bytes) return {};
  return fail(Code::kInternal, "quota of project {} is {} bytes, not {}", project, account.limit,
              bytes);
}

}  // namespace holdfast
