#include "storage/copy/directory_fill.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>

#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_remove.h"

namespace holdfast {
namespace {

constexpr const char* kFilling = ".holdfast-fill-";
constexpr const char* kFilled = ".holdfast-full-";

// Moves each entry of `from` to `to`. A name somebody made there meanwhile
// stays theirs.
Status move_entries(BorrowedFd from, BorrowedFd to) {
  ASSIGN_OR_RETURN(auto readable, open_directory(from, ""));
  while (true) {
    ASSIGN_OR_RETURN(auto batch, read_batch(readable));
    if (!batch) return {};
    while (auto entry = batch->next()) {
      if (::renameat2(from.get(), entry->name, to.get(), entry->name, RENAME_NOREPLACE) == 0 ||
          errno == EEXIST)
        continue;
      // Not every file system (NFS, FUSE) knows the flag.
      if (errno == EINVAL && ::renameat(from.get(), entry->name, to.get(), entry->name) == 0)
        continue;
      return fail_errno("move \"{}\"", entry->name);
    }
  }
}

Status sync_root(BorrowedFd root) {
  if (::fsync(root.get()) != 0) return fail_errno("sync volume root");
  return {};
}

}  // namespace

Result<bool> is_empty(BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto readable, open_directory(directory, ""));
  while (true) {
    ASSIGN_OR_RETURN(auto batch, read_batch(readable));
    if (!batch) return true;
    if (batch->next()) return false;
  }
}

Result<TreeCopyTotals> begin_directory_fill(BorrowedFd root, BorrowedFd source,
                                            const std::string& id, const TreeCopyOptions& options) {
  std::string filling = kFilling + id, filled = kFilled + id;
  if (::mkdirat(root.get(), filling.c_str(), 0700) != 0) return fail_errno("mkdir \"{}\"", filling);
  ASSIGN_OR_RETURN(auto target, open_directory(root, filling.c_str()));
  ASSIGN_OR_RETURN(auto totals, copy_tree(source, target, options));
  if (::syncfs(target.get()) != 0) return fail_errno("sync file system");
  if (::renameat(root.get(), filling.c_str(), root.get(), filled.c_str()) != 0)
    return fail_errno("rename \"{}\"", filling);
  return totals;
}

Status undo_directory_fill(BorrowedFd root, const std::string& id) {
  return remove_tree(root, kFilling + id);
}

Status finish_directory_fill(BorrowedFd root, const std::string& id) {
  std::string filled = kFilled + id;
  RETURN_IF_ERROR(undo_directory_fill(root, id));
  auto opened = open_directory(root, filled.c_str());
  if (!opened) {
    if (opened.error().sys_errno == ENOENT) return {};
    return tl::unexpected(std::move(opened).error());
  }
  ASSIGN_OR_RETURN(auto target, open_directory(root, ""));
  struct stat status = {};
  if (::fstat(opened->get(), &status) != 0) return fail_errno("stat \"{}\"", filled);
  RETURN_IF_ERROR(move_entries(*opened, target));
  RETURN_IF_ERROR(copy_attributes(*opened, target));
  RETURN_IF_ERROR(remove_tree(root, filled));
  // Its removal was a change of the root.
  timespec times[] = {status.st_atim, status.st_mtim};
  if (::futimens(target.get(), times) != 0) return fail_errno("set times of volume root");
  return sync_root(target);
}

bool is_behind_fuse(BorrowedFd directory) {
  struct statfs status = {};
  return ::fstatfs(directory.get(), &status) == 0 && status.f_type == FUSE_SUPER_MAGIC;
}

Result<TreeCopyTotals> fill_directly(BorrowedFd root, BorrowedFd source,
                                     const TreeCopyOptions& options) {
  ASSIGN_OR_RETURN(auto target, open_directory(root, ""));
  ASSIGN_OR_RETURN(auto totals, copy_tree(source, target, options));
  if (::syncfs(target.get()) != 0) return fail_errno("sync file system");
  return totals;
}

}  // namespace holdfast
