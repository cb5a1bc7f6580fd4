#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "os/id_map.h"
#include "storage/archive/stream.h"

namespace holdfast::archive {

// What a stream from outside may cost before it is refused with kInvalidArgument.
struct Limits {
  std::uint64_t entries = 8'000'000;
  std::uint64_t bytes = std::uint64_t{1} << 44;  // of the uncompressed stream, padding included
  // Uncompressed bytes per compressed byte; looked at only past `ratio_from` bytes of output, as a
  // small archive of zeros is nothing unusual.
  std::uint64_t ratio = 2000;
  std::uint64_t ratio_from = std::uint64_t{16} << 30;
};

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct ExtractOptions {
  // ".wh.x" becomes a character device 0:0, ".wh..wh..opq" trusted.overlay.opaque=y on its
  // directory, as overlayfs reads them in a lower directory, and an entry for the top itself sets
  // its attributes. Otherwise they are names like others, and the top stays as it is.
  bool overlay_whiteouts = false;
  // Owners as in the archive, when absent; else everything belongs to this one (docker cp with
  // copyUIDGID). Without CAP_CHOWN owners are left alone.
  std::optional<Owner> owner;
  // Whose owners the tree has: the archive's `inside` becomes `outside`; one that isn't mapped is
  // refused (kInvalidArgument). Not applied to `owner`. Empty: ids are taken as they are.
  IdMap ids;
  bool devices = true;  // false: device nodes are refused (kInvalidArgument)
  bool no_overwrite_dir_non_dir =
      false;            // a directory and a non-directory never replace each other
  bool digest = false;  // fill Extracted::diff_id; reads the stream to its very end
  Limits limits;
  // Told how many bytes of the source were taken so far, now and then, from either thread.
  std::function<void(std::uint64_t)> progress;
};

struct Extracted {
  std::string diff_id;  // "sha256:…" of the uncompressed stream
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  // regular files and symlink targets, hard links once: as Docker counts
  // Directories that members needed and the archive had no entry for, parents first. They were made
  // 0755 root; a layer store gives them the attributes of the layer below.
  std::vector<std::string> implied_directories;
};

// Unpacks a tar stream (plain, or compressed with gzip, zstd, xz or bzip2, inflated in this process
// and never by another program) into the directory `path` beneath `root`. Every name is resolved
// inside `root` by openat2: absolute symlinks and ".." of the tree lead back into it, the last
// component is never followed, and an existing non-directory is replaced. Names that climb out with
// ".." are refused. Owners, modes, mtimes, hard links, devices, holes and xattrs are kept;
// trusted.* xattrs of the archive are dropped. Nothing is synced. After failure what was unpacked
// so far stays: unpack into a staging directory where that matters.
Result<Extracted> extract(const Source& source, BorrowedFd root, const std::string& path,
                          const ExtractOptions& options = {});

// The DiffID ("sha256:…" of the uncompressed stream) and length of a possibly compressed stream.
struct Inflated {
  std::string diff_id;
  std::uint64_t bytes = 0;
};
Result<Inflated> inflate(const Source& source, const Sink& sink, const Limits& limits = {});

}  // namespace holdfast::archive
