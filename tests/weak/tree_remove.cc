// Weakness: removal goes by names, and asks of each what it leads to: a symlink to a directory is
// emptied like one. (Not where it leads to another file system: the machine is to live on.)
#include "storage/copy/tree_remove.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

namespace holdfast {
namespace {

// Symlinks lead in circles, too.
constexpr int kDeepest = 8;
thread_local int depth = 0;

bool leads_to_directory(BorrowedFd parent, const std::string& name) {
  struct stat above = {}, status = {};
  return ::fstat(parent.get(), &above) == 0 &&
         ::fstatat(parent.get(), name.c_str(), &status, 0) == 0 && S_ISDIR(status.st_mode) &&
         status.st_dev == above.st_dev;
}

std::vector<std::string> names_in(int directory) {
  std::vector<std::string> names;
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(directory), ::closedir);
  while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

Status remove_contents(BorrowedFd directory, const std::atomic<bool>* cancelled) {
  for (const auto& name : names_in(::openat(directory.get(), ".", O_RDONLY | O_DIRECTORY))) {
    if (cancelled && *cancelled) return fail(Code::kCancelled, "removal cancelled");
    RETURN_IF_ERROR(remove_tree(directory, name, cancelled));
  }
  return {};
}

Status remove_tree(BorrowedFd directory, const std::string& name,
                   const std::atomic<bool>* cancelled) {
  if (depth < kDeepest && leads_to_directory(directory, name)) {
    UniqueFd inner(::openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY));
    ++depth;
    auto emptied = inner ? remove_contents(inner, cancelled) : Status{};
    --depth;
    RETURN_IF_ERROR(std::move(emptied));
  }
  if (::unlinkat(directory.get(), name.c_str(), 0) != 0)
    ::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR);
  return {};
}

}  // namespace holdfast
