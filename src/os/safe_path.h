#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// Resolution of paths that come from outside (containers, clients, archives) beneath a directory
// that is held open. Whatever others rename or swap meanwhile, the result lies beneath it. Links of
// /proc that jump elsewhere are never followed. By openat2(2); where the kernel has none (or
// HOLDFAST_NO_OPENAT2 is set, as the tests do to try it), component by component with the same
// outcome.
namespace holdfast {

enum class Confine {
  kInRoot,   // `root` is "/" to the path: absolute symlinks start there, ".." stops there (a
             // container's path)
  kBeneath,  // a path or symlink that leads out of `root` is an error (a volume's sub-path): errno
             // EXDEV
};

// Opens `path` with O_CLOEXEC added to `flags`. O_NOFOLLOW speaks of the last component only, as in
// open(2). An empty path, ".", and for kInRoot "/", mean `root` itself.
Result<UniqueFd> open_confined(BorrowedFd root, const std::string& path, Confine confine, int flags,
                               unsigned mode = 0);

// mkdir -p: opens the directory `path` (O_PATH), making what is missing with `mode` (the umask does
// not apply) and the owner given. A symlink that dangles has its target made. Safe to repeat and to
// run against itself. Not durable.
struct NewDirectory {
  unsigned mode = 0755;
  unsigned uid = 0;
  unsigned gid = 0;
};
Result<UniqueFd> make_directories_confined(BorrowedFd root, const std::string& path,
                                           Confine confine, const NewDirectory& attributes = {});

// The same as open_confined by the fallback alone.
Result<UniqueFd> open_confined_by_walk(BorrowedFd root, const std::string& path, Confine confine,
                                       int flags, unsigned mode = 0);

// A tree that will hang in a root, at an absolute path without symlinks. Without a descriptor: one
// that is empty.
struct HungTree {
  std::string place;
  BorrowedFd tree{-1};
};

// Where `path` leads within `root` ("/" to it) with `hung` in it, as an absolute path without
// symlinks. What isn't there is taken as it is written, as `realpath -m` does: nothing is made.
Result<std::string> resolve_in_root(BorrowedFd root, const std::string& path,
                                    const std::vector<HungTree>& hung = {});

// Where an open file lies, as the kernel tells it: of a detached mount, from its root on.
Result<std::string> path_of(BorrowedFd fd);

// An ordinary descriptor for what an O_PATH descriptor names.
Result<UniqueFd> reopen(BorrowedFd path_fd, int flags);

}  // namespace holdfast
