#include "storage/volume/layout.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"

namespace holdfast {
namespace {

#ifndef XFS_SUPER_MAGIC
constexpr long XFS_SUPER_MAGIC = 0x58465342;
#endif

Result<UniqueFd> make_and_open(const std::string& path) {
  RETURN_IF_ERROR(make_directories(path, 0700));
  return open_file(path, O_RDONLY | O_DIRECTORY);
}

// The magic number is ext2's, too, and an ext4 may have been made without a journal. The kernel
// names the thread that writes it, or "<none>".
bool has_ext4_journal(BorrowedFd fd) {
  struct stat status = {};
  if (::fstat(fd.get(), &status) != 0) return false;
  auto link = fmt::format("/sys/dev/block/{}:{}", major(status.st_dev), minor(status.st_dev));
  std::error_code none;
  auto device = std::filesystem::read_symlink(link, none).filename().string();
  auto thread = read_file(fmt::format("/sys/fs/ext4/{}/journal_task", device));
  return thread && !thread->starts_with("<");
}

bool has_ordered_journal(BorrowedFd fd) {
  struct statfs status = {};
  if (::fstatfs(fd.get(), &status) != 0) return false;
  if (status.f_type == XFS_SUPER_MAGIC) return true;
  return status.f_type == EXT4_SUPER_MAGIC && has_ext4_journal(fd);
}

}  // namespace

Result<VolumeDirectories> VolumeDirectories::open(const std::string& data_root) {
  VolumeDirectories directories;
  directories.root = data_root;
  ASSIGN_OR_RETURN(directories.volumes, make_and_open(data_root + "/volumes"));
  ASSIGN_OR_RETURN(directories.staging, make_and_open(data_root + "/staging"));
  ASSIGN_OR_RETURN(directories.trash, make_and_open(data_root + "/trash"));
  RETURN_IF_ERROR(sync_directory(data_root));
  directories.ordered_journal = has_ordered_journal(directories.volumes);
  return directories;
}

std::string VolumeDirectories::mountpoint(const VolumeName& name) const {
  return fmt::format("{}/volumes/{}/{}", root, name, layout::kData);
}

Result<UniqueFd> VolumeDirectories::open_volume(const VolumeName& name) const {
  auto opened = open_file_at(volumes, name.str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && opened.error().sys_errno == ENOENT)
    return fail(Code::kDataLoss, "the directory of volume \"{}\" is missing: \"{}/volumes/{}\"",
                name, root, name);
  return opened;
}

Status sync_fd(BorrowedFd fd, const std::string& what) {
  if (::fsync(fd.get()) != 0) return fail_errno("sync {}", what);
  return {};
}

}  // namespace holdfast
