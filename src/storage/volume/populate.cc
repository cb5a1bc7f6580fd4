#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "os/mountinfo.h"
#include "storage/copy/directory_fill.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_copy.h"
#include "storage/copy/tree_remove.h"
#include "storage/volume/volumes_impl.h"

// How an empty volume is filled, all or nothing.
//
// A directory that nobody has mounted is replaced: the content is copied to
// staging/fill-<id>, synced and renamed over the empty _data. Before the rename
// open() sweeps the staging directory; after it the volume is full.
//
// A mounted one (another container has it already, or its files are another
// file system's) is filled in place (storage/copy/directory_fill.h).
// staging/fill-<id>.json, written first, tells open() of it; the next
// populate() or mount() undoes or finishes it.
//
// Behind FUSE nothing is renamed: all is copied to where it belongs, and the
// marker lists what must go where that was cut short. It must not come back
// once the volume is in use: its removal is synced.
namespace holdfast {
namespace {

Status sync_file_system(BorrowedFd fd) {
  if (::syncfs(fd.get()) != 0) return fail_errno("sync file system");
  return {};
}

Result<bool> has_attributes_of(BorrowedFd source, BorrowedFd target) {
  struct stat from = {}, to = {};
  if (::fstat(source.get(), &from) != 0 || ::fstat(target.get(), &to) != 0)
    return fail_errno("stat");
  return from.st_uid == to.st_uid && from.st_gid == to.st_gid && from.st_mode == to.st_mode;
}

}  // namespace

Result<Volumes::Filled> Volumes::Impl::fill(const Volume& volume, BorrowedFd source,
                                            bool may_replace, const std::string& unfinished,
                                            const HostPathJudge& judge) {
  RETURN_IF_ERROR(firm_up(volume));
  ASSIGN_OR_RETURN(auto* by, drivers.find(volume.driver));
  ASSIGN_OR_RETURN(auto directory, directories.open_volume(volume.name));
  HolderId filler("fill-" + random_hex(16));
  ASSIGN_OR_RETURN(auto root, by->mount(volume, directory, filler, judge));
  Filled filled;
  auto work = [&]() -> Status {
    ASSIGN_OR_RETURN(auto from, open_directory(source, ""));
    if (!unfinished.empty()) RETURN_IF_ERROR(finish_fill(volume, root, unfinished));
    ASSIGN_OR_RETURN(bool empty, is_empty(root));
    if (!empty) return {};
    ASSIGN_OR_RETURN(bool nothing, is_empty(from));
    if (nothing) {
      // Only owner and mode, which an image sets on directories meant to be
      // volumes.
      ASSIGN_OR_RETURN(auto target, open_directory(root, ""));
      ASSIGN_OR_RETURN(bool same, has_attributes_of(from, target));
      if (same) return {};
      RETURN_IF_ERROR(copy_attributes(from, target));
      auto synced = sync_fd(target, "volume root");
      return by->is_directory(volume) ? noted(std::move(synced)) : synced;
    }
    auto done = may_replace && by->is_directory(volume) ? fill_by_replacing(volume, directory, from)
                                                        : fill_in_place(volume, root, from);
    ASSIGN_OR_RETURN(filled, std::move(done));
    return {};
  };
  auto status = work();
  root.reset();
  // Unmounts only what nobody else has mounted: may_replace says so.
  auto unmounted = by->unmount(volume, directory, filler, may_replace);
  RETURN_IF_ERROR(std::move(status));
  RETURN_IF_ERROR(std::move(unmounted));
  return filled;
}

Result<Volumes::Filled> Volumes::Impl::fill_by_replacing(const Volume& volume, BorrowedFd directory,
                                                         BorrowedFd source) {
  std::string staged = layout::kFillPrefix + random_hex(32);
  if (::mkdirat(directories.staging.get(), staged.c_str(), 0700) != 0)
    return fail_errno("mkdir \"{}/staging/{}\"", directories.root, staged);
  auto work = [&]() -> Result<Filled> {
    ASSIGN_OR_RETURN(auto target, open_directory(directories.staging, staged.c_str()));
    TreeCopyOptions options;
    options.from_layer = true;
    ASSIGN_OR_RETURN(auto totals, copy_tree(source, target, options));
    RETURN_IF_ERROR(noted(sync_file_system(target)));
    if (::renameat(directories.staging.get(), staged.c_str(), directory.get(), layout::kData) !=
        0) {
      // Somebody put a file into it by its host path meanwhile.
      if (errno == ENOTEMPTY || errno == EEXIST) return Filled{};
      return fail_errno("rename to \"{}\"", directories.mountpoint(volume.name));
    }
    ASSIGN_OR_RETURN(auto parent, open_directory(directory, ""));
    RETURN_IF_ERROR(noted(sync_fd(parent, "volume directory")));
    return Filled{true, std::move(totals.refused)};
  };
  auto filled = work();
  if (!filled || !filled->filled) delete_staged(staged);
  return filled;
}

std::string fill_marker(const std::string& id) {
  return layout::kFillPrefix + id + layout::kMarkerSuffix;
}

// Writes the marker. True: the content is to be copied to where it belongs.
Result<bool> Volumes::Impl::mark_fill(const Volume& volume, BorrowedFd root, BorrowedFd source,
                                      const std::string& id) {
  json::Object document;
  document["volume"] = volume.name.str();
  document["volume_id"] = volume.id;
  document["id"] = id;
  std::string text = json::serialize(document);
  bool direct = false;
  if (is_behind_fuse(root)) {
    ASSIGN_OR_RETURN(auto names, names_in(source));
    document["names"] = json::Array(names.begin(), names.end());
    std::string with_names = json::serialize(document);
    direct = json::parse_object(with_names).has_value();  // not where a name isn't UTF-8
    if (direct) text = std::move(with_names);
  }
  RETURN_IF_ERROR(write_file_atomic(fmt::format("{}/staging/{}", directories.root, fill_marker(id)),
                                    text, 0600, true));
  return direct;
}

Result<Volumes::Filled> Volumes::Impl::fill_in_place(const Volume& volume, BorrowedFd root,
                                                     BorrowedFd source) {
  std::string id = random_hex(32);
  ASSIGN_OR_RETURN(bool direct, mark_fill(volume, root, source, id));
  TreeCopyOptions options;
  // Or they would count for the image.
  if (volume.options.contains("size")) options.sharing = BlockSharing::kNever;
  options.leave_unknown = true;
  options.from_layer = true;
  auto copied = direct ? fill_directly(root, source, options)
                       : begin_directory_fill(root, source, id, options);
  // Where somebody made one of the names meanwhile, what is theirs can't be told from ours any
  // more.
  bool stays = direct && (copied || copied.error().sys_errno == EEXIST);
  auto ended = stays ? forget_fill(id) : finish_fill(volume, root, id);
  // Or it would be used with its marker still there, and undone when it is in use.
  if (!ended) {
    std::lock_guard lock(mutex);
    entries[volume.name.str()].unfinished_fill = id;
  }
  if (!copied) return tl::unexpected(std::move(copied).error());
  RETURN_IF_ERROR(std::move(ended));
  return Filled{true, std::move(copied->refused)};
}

// Undoes a fill that was being copied, or finishes one that was complete; a
// second call changes nothing.
Status Volumes::Impl::finish_fill(const Volume& volume, BorrowedFd root, const std::string& id) {
  auto text = read_file(fmt::format("{}/staging/{}", directories.root, fill_marker(id)));
  auto marker = text ? json::parse_object(*text) : Result<json::Object>(json::Object{});
  if (marker && json::string_or(*marker, "volume_id") == volume.id && marker->contains("names")) {
    for (const auto& name : json::strings_or_empty(*marker, "names"))
      RETURN_IF_ERROR(remove_tree(root, name));
  } else {
    RETURN_IF_ERROR(finish_directory_fill(root, id));
  }
  return forget_fill(id);
}

Status Volumes::Impl::forget_fill(const std::string& id) {
  RETURN_IF_ERROR(remove_file(fmt::format("{}/staging/{}", directories.root, fill_marker(id))));
  return noted(sync_fd(directories.staging, "staging directory"));
}

}  // namespace holdfast
