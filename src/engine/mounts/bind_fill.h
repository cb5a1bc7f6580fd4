#pragma once

#include <string>

#include "base/unique_fd.h"
#include "state/store.h"
#include "storage/copy/tree_copy.h"

namespace holdfast {

// Fills the source of a bind from the image, which the option copy asks for. All or nothing: that
// it is under way is in the store, so that the next start of the daemon undoes or finishes what a
// crash cut short (storage/copy/directory_fill.h). Behind FUSE what was copied by then stays: to
// take it away again could take a user's file along.
class BindFill {
 public:
  // Copies `content` into `directory`, which lies at `path` on the host, if that is empty. Durable
  // on return. Returns what its file system refused.
  static Result<CopyRefusals> fill(Store& store, BorrowedFd directory, const std::string& path,
                                   BorrowedFd content);

  // For recovery: what was under way. A directory that is gone since is forgotten.
  static Status finish_all(Store& store);
};

}  // namespace holdfast
