#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

// Extended attributes (xattr(7)), ACLs and file capabilities among them. `name` empty: of `file`
// itself, which may be an O_PATH descriptor; else of the entry `name` in directory `file`, symlinks
// not followed. A file system without extended attributes has none.
namespace holdfast {

struct Xattr {
  std::string name;
  std::string value;
};

Result<std::vector<Xattr>> read_xattrs(BorrowedFd file, const std::string& name = {});
Result<std::optional<std::string>> read_xattr(BorrowedFd file, const std::string& name,
                                              const std::string& attribute);
Status write_xattr(BorrowedFd file, const std::string& name, const Xattr& attribute);
// An absent attribute is success.
Status remove_xattr(BorrowedFd file, const std::string& name, const std::string& attribute);

}  // namespace holdfast
