#pragma once

#include <sys/types.h>
#include <time.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "os/xattr.h"
#include "storage/archive/extract.h"

namespace holdfast::archive {

// One member of an archive, as the archive has it: nothing in it is to be trusted.
struct Member {
  enum class Type { kDirectory, kRegular, kSymlink, kHardLink, kFifo, kCharacter, kBlock };
  Type type = Type::kRegular;
  std::string name;
  std::string link;  // target of a symlink or hard link
  unsigned mode = 0;
  Owner owner;
  dev_t device = 0;
  std::uint64_t size = 0;
  struct timespec mtime = {};
  std::vector<Xattr> xattrs;
};

// Writes the content of a regular member into an open file.
using WriteContent = std::function<Status(BorrowedFd file)>;

// "a//b/./c/" as "a/b/c", the root as "". kInvalidArgument when ".." climbs out or the name is
// longer than a path may be.
Result<std::string> clean_member_name(std::string_view name);

// Makes members beneath `base` inside a root, each by the descriptor of its directory, which is
// resolved inside the root; never follows the last component. One owner; not thread-safe.
class TreeWriter {
 public:
  TreeWriter(BorrowedFd root, std::string base, const ExtractOptions& options);

  Status add(const Member& member, const WriteContent& content);

  // Sets the modes and times of directories, which wait until nothing is made in them any more.
  Status finish();

  Extracted& result() { return result_; }

 private:
  struct LateDirectory {
    std::string path;
    std::optional<unsigned> mode;
    struct timespec mtime;
    std::optional<Xattr> default_acl;
  };
  struct Place {  // where a member goes
    BorrowedFd parent{-1};
    std::string name;
    const Member& member;
    std::string path;  // cleaned
  };

  Result<BorrowedFd> parent_of(const std::string& path);
  Status make_missing(const std::string& path);
  std::string in_root(const std::string& path) const;
  Result<UniqueFd> open_directory(const std::string& path);

  Status make(Place& place, const WriteContent& content);
  Status make_whiteout(BorrowedFd parent, const std::string& name, const std::string& path);
  Status make_directory(Place& place);
  Status make_regular(Place& place, const WriteContent& content);
  Status make_symlink(Place& place);
  Status make_hard_link(Place& place);
  Status make_node(Place& place);
  // Clears the way for a member; false when an existing directory is to be merged with.
  Result<bool> clear_way(Place& place);
  Status set_root_attributes(const Member& member);
  Status set_late(const LateDirectory& late);
  Status chown_entry(const Place& place);
  Status chown_file(BorrowedFd file, const Place& place);
  Status set_xattrs(BorrowedFd file, const std::string& name, const Place& place);
  Owner owner_of(const Member& member) const;

  BorrowedFd root_;
  std::string base_;
  const ExtractOptions& options_;
  bool may_chown_;
  unsigned umask_;
  std::string cached_path_;
  UniqueFd cached_parent_;
  std::vector<LateDirectory> late_;
  Extracted result_;
};

}  // namespace holdfast::archive
