#include "storage/copy/tree_size.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>
#include <vector>

#include "os/mountinfo.h"
#include "storage/copy/directory_reader.h"

namespace holdfast {
namespace {

struct Sum {
  std::uint64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> counted;  // files with several names

  void add(const struct stat& status) {
    if (status.st_nlink > 1 && !counted.insert({status.st_dev, status.st_ino}).second) return;
    bytes += static_cast<std::uint64_t>(status.st_size);
  }
};

// One level of the walk. Recursing instead would let a volume's depth decide over our stack.
struct Level {
  UniqueFd directory;
  std::optional<DirectoryBatch> batch;
};

// Opens a sub-directory to walk; nullopt when it is gone, or something is mounted there.
Result<std::optional<UniqueFd>> enter(BorrowedFd parent, const char* name) {
  auto opened = open_directory(parent, name);
  if (!opened) {
    int number = opened.error().sys_errno;
    if (number == ENOENT || number == ENOTDIR || number == ELOOP) return std::nullopt;
    return tl::unexpected(std::move(opened).error());
  }
  ASSIGN_OR_RETURN(bool mounted, is_mount_point(*opened, ""));
  if (mounted) return std::nullopt;
  return std::move(*opened);
}

}  // namespace

Result<std::uint64_t> tree_size(BorrowedFd directory, const std::atomic<bool>* cancelled) {
  Sum sum;
  std::vector<Level> levels(1);
  ASSIGN_OR_RETURN(levels[0].directory, open_directory(directory, ""));
  while (!levels.empty()) {
    Level& level = levels.back();
    auto entry = level.batch ? level.batch->next() : std::nullopt;
    if (!entry) {
      if (cancelled && cancelled->load()) return fail(Code::kCancelled, "size count cancelled");
      ASSIGN_OR_RETURN(level.batch, read_batch(level.directory));
      if (!level.batch) levels.pop_back();
      continue;
    }
    struct stat status = {};
    if (entry->type != DT_DIR) {
      if (::fstatat(level.directory.get(), entry->name, &status,
                    AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
        if (errno == ENOENT) continue;
        return fail_errno("stat \"{}\"", entry->name);
      }
      if (!S_ISDIR(status.st_mode)) {
        sum.add(status);
        continue;
      }
    }
    ASSIGN_OR_RETURN(auto child, enter(level.directory, entry->name));
    if (child) levels.push_back({std::move(*child), std::nullopt});
  }
  return sum.bytes;
}

}  // namespace holdfast
