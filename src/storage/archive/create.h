#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/cancellation.h"
#include "os/id_map.h"
#include "storage/archive/stream.h"

namespace holdfast::archive {

struct CreateOptions {
  // What members are called: "name" for the thing itself, "name/x" below it (docker cp). Empty: the
  // content of the directory without the directory itself, "bin/", "bin/sh" (export, commit).
  std::string name;
  // The tree is an overlayfs upper directory: its whiteouts and opaque directories are written as
  // ".wh.x" and ".wh..wh..opq", and trusted.overlay.* xattrs are left out.
  bool overlay_upper = false;
  // Paths below the directory that are left out with what is in them, such as "proc".
  std::vector<std::string> exclude;
  // Whose owners the tree has: a file of id `outside` is written as `inside`, of any other as
  // nobody's. Empty: ids are written as they are.
  IdMap ids;
  const Cancellation* cancellation = nullptr;
};

// Writes what `path` beneath `root` names as a tar stream in pax format, members ordered by name in
// every directory, hard links within the tree kept, xattrs as SCHILY.xattr, large holes as sparse
// maps. `path` is resolved inside `root`; its last component is not followed when it is a symlink
// (give "x/." to follow), and below it everything is opened by directory descriptor, so that a tree
// that changes meanwhile cannot lead outside. A file that shrinks meanwhile is filled up with
// zeros; one that vanishes is left out. Sockets are left out, as tar has no way to say them.
Status create(BorrowedFd root, const std::string& path, const CreateOptions& options,
              const Sink& sink);

// A tar stream made of bytes and files rather than of a tree (docker save).
class Writer {
 public:
  explicit Writer(Sink sink);
  Writer(Writer&&) noexcept;
  ~Writer();

  Status directory(const std::string& name, unsigned mode, std::int64_t mtime_seconds);
  Status file(const std::string& name, std::string_view bytes, std::int64_t mtime_seconds);
  // `size` bytes of `source`; fewer is kDataLoss.
  Status file(const std::string& name, std::uint64_t size, const Source& source,
              std::int64_t mtime_seconds);
  // Writes the end of the archive. Without it the archive is cut short.
  Status finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::archive
