#include "state/data_root.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace holdfast {

Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory) {
  RETURN_IF_ERROR(make_directories(directory, 0700));
  // An existing one may have been made by hand, with a wider mode.
  if (::chmod(directory.c_str(), 0700) != 0) return fail_errno("chmod \"{}\"", directory);
  std::string path = directory + "/lock";
  ASSIGN_OR_RETURN(auto file, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock \"{}\"", path);
    auto holder = read_all(file, 64);
    return fail(Code::kConflict, "\"{}\" is in use by another holdfastd (pid {})", directory,
                holder && !holder->empty() ? *holder : "unknown");
  }
  std::string pid = std::to_string(::getpid());
  if (::ftruncate(file.get(), 0) != 0) return fail_errno("truncate \"{}\"", path);
  RETURN_IF_ERROR(write_all(file, pid));
  return DirectoryLock(std::move(file));
}

}  // namespace holdfast
