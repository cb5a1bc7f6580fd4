#include "os/inode_flags.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "base/file.h"
#include "os/mountinfo.h"

namespace holdfast {
namespace {

bool is_unsupported(int number) {
  return number == ENOTTY || number == EOPNOTSUPP || number == EINVAL || number == ENOSYS ||
         number == EPERM || number == EROFS;
}

}  // namespace

Status set_immutable(BorrowedFd directory, const std::string& name, bool immutable) {
  ASSIGN_OR_RETURN(bool covered, is_mounted_on(directory, name));
  if (covered) return {};
  ASSIGN_OR_RETURN(auto fd, open_file_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  int flags = 0;
  if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) != 0) {
    if (is_unsupported(errno)) return {};
    return fail_errno("read flags of \"{}\"", name);
  }
  int wanted = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  if (wanted == flags || ::ioctl(fd.get(), FS_IOC_SETFLAGS, &wanted) == 0) return {};
  if (is_unsupported(errno)) return {};
  return fail_errno("set flags of \"{}\"", name);
}

}  // namespace holdfast
