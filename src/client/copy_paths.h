#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

// The rules of docker cp about trailing slashes, "/." and destinations that do or don't exist.
namespace holdfast::client {

// One end of a copy.
struct CopyEnd {
  std::string path;
  bool exists = false;
  bool is_directory = false;
  std::string rebase_name;  // the name its contents go by, where that isn't the path's last part
};

// "container:path" taken apart; the container is empty for a local path.
struct CopyArgument {
  std::string container, path;
};
CopyArgument split_copy_argument(std::string_view argument);

// The parent directory and last component of a path; "dir/." keeps its ".".
struct SplitPath {
  std::string directory, base;
};
SplitPath split_path_entry(std::string_view path);

// A local source, its symlinks resolved if `follow`.
Result<CopyEnd> local_source(const std::string& path, bool follow);
// A local destination, always resolved; its parent must exist if it doesn't.
Result<CopyEnd> local_destination(const std::string& path);

// Where to unpack, and which first component of the archive's names becomes which.
struct CopyPlan {
  std::string directory;
  std::string old_base, new_base;  // equal: nothing changes

  std::string rename(const std::string& name) const;
};
// kInvalidArgument: "cannot copy directory" onto a file, "no such directory".
Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& destination);

}  // namespace holdfast::client
