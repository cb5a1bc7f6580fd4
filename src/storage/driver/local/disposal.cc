#include "storage/driver/local/disposal.h"

#include <fcntl.h>

#include <cerrno>

#include "os/inode_flags.h"
#include "os/project_quota.h"
#include "storage/driver/local/project_backing.h"
#include "storage/driver/local/subvolume_backing.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

Status dispose_of_directory(BorrowedFd directory, const char* name,
                            const std::atomic<bool>* cancelled) {
  if (auto cleared = set_immutable(directory, name, false);
      !cleared && cleared.error().sys_errno != ENOENT)
    return cleared;
  RETURN_IF_ERROR(dispose_of_project(ProjectQuota(), directory, name));
  return dispose_of_subvolume(directory, name, cancelled);
}

}  // namespace

Status dispose_of_files(BorrowedFd directory, const std::atomic<bool>* cancelled) {
  for (const char* image : {layout::kImage, layout::kNewImage}) {
    if (::unlinkat(directory.get(), image, 0) != 0 && errno != ENOENT)
      return fail_errno("remove \"{}\"", image);
  }
  for (const char* name : {layout::kData, layout::kNewData, layout::kOldData})
    RETURN_IF_ERROR(dispose_of_directory(directory, name, cancelled));
  return {};
}

}  // namespace holdfast
