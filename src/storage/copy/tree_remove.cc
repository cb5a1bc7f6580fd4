#include "storage/copy/tree_remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "base/random.h"
#include "os/mountinfo.h"
#include "storage/copy/directory_reader.h"

namespace holdfast {
namespace {

// Directories open at a time. What lies deeper is first moved up to the top, so that depth costs no
// descriptors.
constexpr std::size_t kMaxDepth = 128;

class TreeRemover {
 public:
  TreeRemover(BorrowedFd top, const std::atomic<bool>* cancelled)
      : top_(top), cancelled_(cancelled) {}

  // Empties `top`, and what is moved up into it meanwhile.
  Status run() { return empty(top_, 0); }

 private:
  Status empty(BorrowedFd directory, std::size_t depth);
  Status remove_entry(BorrowedFd directory, const DirectoryBatch::Entry& entry, std::size_t depth);
  Status remove_directory(BorrowedFd parent, const char* name, std::size_t depth);

  const BorrowedFd top_;
  const std::atomic<bool>* cancelled_;
};

Status TreeRemover::empty(BorrowedFd directory, std::size_t depth) {
  // Entries removed while a directory is read may make the kernel skip others: read again until
  // none is seen.
  while (true) {
    if (::lseek(directory.get(), 0, SEEK_SET) < 0) return fail_errno("rewind directory");
    bool any = false;
    while (true) {
      ASSIGN_OR_RETURN(auto batch, read_batch(directory));
      if (!batch) break;
      while (auto entry = batch->next()) {
        if (cancelled_ && cancelled_->load(std::memory_order_relaxed))
          return fail(Code::kCancelled, "removal cancelled");
        any = true;
        RETURN_IF_ERROR(remove_entry(directory, *entry, depth));
      }
    }
    if (!any) return {};
  }
}

Status TreeRemover::remove_entry(BorrowedFd directory, const DirectoryBatch::Entry& entry,
                                 std::size_t depth) {
  if (entry.type != DT_DIR) {
    if (::unlinkat(directory.get(), entry.name, 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return fail_errno("remove \"{}\"", entry.name);
    struct stat status = {};
    int number = errno;
    if (::fstatat(directory.get(), entry.name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(status.st_mode))
      return fail_errno_text(number, fmt::format("remove \"{}\"", entry.name));
  }
  return remove_directory(directory, entry.name, depth);
}

Status TreeRemover::remove_directory(BorrowedFd parent, const char* name, std::size_t depth) {
  // Most directories met late are empty already.
  if (::unlinkat(parent.get(), name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("remove directory \"{}\"", name);
  if (depth >= kMaxDepth) {
    std::string up = ".holdfast-deep-" + random_hex(16);
    if (::renameat(parent.get(), name, top_.get(), up.c_str()) != 0)
      return fail_errno("move \"{}\" up", name);
    return {};
  }
  ASSIGN_OR_RETURN(auto directory, open_directory(parent, name));
  ASSIGN_OR_RETURN(bool mounted, is_mount_point(directory, ""));
  if (mounted) return fail(Code::kConflict, "something is mounted on \"{}\"", name);
  RETURN_IF_ERROR(empty(directory, depth + 1));
  if (::unlinkat(parent.get(), name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("remove directory \"{}\"", name);
  return {};
}

}  // namespace

Status remove_contents(BorrowedFd directory, const std::atomic<bool>* cancelled) {
  ASSIGN_OR_RETURN(auto readable, open_directory(directory, ""));
  return TreeRemover(readable, cancelled).run();
}

Status remove_tree(BorrowedFd directory, const std::string& name,
                   const std::atomic<bool>* cancelled) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno("remove \"{}\"", name);
  if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("remove \"{}\"", name);
  ASSIGN_OR_RETURN(auto top, open_directory(directory, name.c_str()));
  ASSIGN_OR_RETURN(bool mounted, is_mount_point(top, ""));
  if (mounted) return fail(Code::kConflict, "something is mounted on \"{}\"", name);
  RETURN_IF_ERROR(TreeRemover(top, cancelled).run());
  if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("remove \"{}\"", name);
  return {};
}

}  // namespace holdfast
