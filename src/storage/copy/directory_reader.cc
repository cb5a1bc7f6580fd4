#include "storage/copy/directory_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

namespace holdfast {
namespace {

// A few hundred entries: small enough to share the work on a flat directory between threads.
constexpr std::size_t kBatchBytes = 8192;

// linux_dirent64, as getdents(2) documents it.
struct KernelEntry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

}  // namespace

std::optional<DirectoryBatch::Entry> DirectoryBatch::next() {
  while (at_ < size_) {
    const auto* entry = reinterpret_cast<const KernelEntry*>(bytes_.get() + at_);
    at_ += entry->length;
    const char* name = entry->name;
    if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
    return Entry{name, entry->type};
  }
  return std::nullopt;
}

Result<std::optional<DirectoryBatch>> read_batch(BorrowedFd directory) {
  DirectoryBatch batch;
  batch.bytes_ = std::make_unique_for_overwrite<char[]>(kBatchBytes);
  long count = ::syscall(SYS_getdents64, directory.get(), batch.bytes_.get(), kBatchBytes);
  if (count < 0) return fail_errno("read directory");
  if (count == 0) return std::nullopt;
  batch.size_ = static_cast<std::size_t>(count);
  return batch;
}

Result<UniqueFd> open_directory(BorrowedFd parent, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  const char* path = *name ? name : ".";
  UniqueFd fd(::openat(parent.get(), path, kFlags | O_NOATIME));
  // O_NOATIME is for the owner of the files and for root.
  if (!fd && errno == EPERM) fd.reset(::openat(parent.get(), path, kFlags));
  if (!fd) return fail_errno("open directory \"{}\"", name);
  return fd;
}

}  // namespace holdfast
