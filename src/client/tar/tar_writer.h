#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "client/tar/tar_entry.h"

namespace holdfast::client {

// The header of an entry: ustar, preceded by a pax header where ustar has no room.
std::string tar_header(const TarEntry& entry);

// A tar archive of a file or directory tree, made while it is read. Symbolic links are archived,
// not followed; hard links within the tree stay links; sockets are left out. One owner; not
// thread-safe.
class TarWriter {
 public:
  // Archives `path` under the name `name`; whatever is below it under name/….
  TarWriter(std::string path, std::string name);

  // The next bytes; 0 at the end. Fails if the tree can't be read, or a file shrinks meanwhile.
  Result<std::size_t> read(char* buffer, std::size_t size);

 private:
  Status next_entry();
  Status add_children(const std::string& path, const std::string& name);

  std::vector<std::pair<std::string, std::string>> pending_;  // path, name; the last is next
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> links_;  // device, inode -> name
  std::string ready_;                                                     // made but not yet read
  std::size_t at_ = 0;
  UniqueFd file_;
  std::string file_path_;
  std::uint64_t remaining_ = 0;  // of file_
  bool ended_ = false;
};

}  // namespace holdfast::client
