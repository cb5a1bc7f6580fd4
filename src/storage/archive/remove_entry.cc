#include "storage/archive/remove_entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace holdfast::archive {
namespace {

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};
using DirectoryStream = std::unique_ptr<DIR, CloseDirectory>;

// A directory being emptied and what it is called in the one above.
struct Level {
  std::string name;
  DirectoryStream stream;
  BorrowedFd fd() const { return BorrowedFd(::dirfd(stream.get())); }
};

Result<Level> enter(BorrowedFd parent, const std::string& name) {
  ASSIGN_OR_RETURN(auto fd, open_file_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  DirectoryStream stream(::fdopendir(fd.get()));
  if (!stream) return fail_errno("list \"{}\"", name);
  (void)fd.release();
  return Level{name, std::move(stream)};
}

// Takes one step in the deepest level: removes an entry, goes down or comes back up.
Status step(BorrowedFd top, std::vector<Level>& levels) {
  BorrowedFd here = levels.back().fd();
  const struct dirent* entry = ::readdir(levels.back().stream.get());
  if (!entry) {
    std::string name = std::move(levels.back().name);
    levels.pop_back();
    BorrowedFd above = levels.empty() ? top : levels.back().fd();
    if (::unlinkat(above.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    return fail_errno("remove \"{}\"", name);
  }
  std::string name = entry->d_name;
  if (name == "." || name == "..") return {};
  if (entry->d_type != DT_DIR) {
    if (::unlinkat(here.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR) return fail_errno("remove \"{}\"", name);
  }
  ASSIGN_OR_RETURN(auto level, enter(here, name));
  levels.push_back(std::move(level));
  return {};
}

}  // namespace

Status remove_entry(BorrowedFd directory, const std::string& name) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno("remove \"{}\"", name);
  std::vector<Level> levels;
  ASSIGN_OR_RETURN(auto first, enter(directory, name));
  levels.push_back(std::move(first));
  while (!levels.empty()) RETURN_IF_ERROR(step(directory, levels));
  return {};
}

}  // namespace holdfast::archive
