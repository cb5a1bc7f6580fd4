#include "storage/driver/local/image_backing.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/size_text.h"
#include "os/child_call.h"
#include "os/ext4.h"
#include "os/inode_flags.h"
#include "os/mount_in_child.h"
#include "os/mountinfo.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_copy.h"
#include "storage/copy/tree_remove.h"
#include "storage/driver/local/image_file.h"
#include "storage/volume/layout.h"

namespace holdfast {
namespace {

constexpr unsigned kSysResource = 24;  // CAP_SYS_RESOURCE

std::uint64_t blocks_of(const SizedVolume& volume) { return volume.limit / kExt4BlockSize; }

bool exists(BorrowedFd directory, const char* name) {
  struct stat status = {};
  return ::fstatat(directory.get(), name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<OpenedPath> open_image(const SizedVolume& volume, const char* name) {
  OpenedPath image;
  image.path = name;
  ASSIGN_OR_RETURN(image.fd,
                   open_file_at(volume.directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK));
  if (::fstat(image.fd.get(), &image.status) != 0) return fail_errno("stat \"{}\"", name);
  if (!S_ISREG(image.status.st_mode)) return fail(Code::kDataLoss, "\"{}\" is no file", name);
  return image;
}

// While a program works on an image, it holds this lock together with us: one that outlives the
// daemon that started it keeps the next daemon waiting. Loop devices would keep it, too: it is
// given up before one gets the image.
Status lock_image(const OpenedPath& image, const SizedVolume& volume,
                  std::chrono::milliseconds deadline) {
  if (::flock(image.fd.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return fail_errno("lock image of volume \"{}\"", volume.name);
  // The lock is the open file's, and so ours as well when the child has got it.
  auto answer = call_in_child({image.fd}, deadline, [&](ChildReply& reply) {
    if (::flock(image.fd.get(), LOCK_EX) != 0) reply.fail(0, errno);
  });
  if (answer && answer->number == 0) return {};
  return fail(Code::kUnavailable, "the image of volume \"{}\" is still being checked or grown",
              volume.name);
}

// An empty one holds back nothing of what its own root directory takes.
std::uint64_t to_hold_back(const Ext4Superblock& superblock, std::uint64_t total,
                           std::uint64_t limit) {
  std::uint64_t for_files = total - std::min(total, superblock.own);
  return for_files - std::min(for_files, limit);
}

// mke2fs and e2fsck make a directory for what is found lost, but a volume begins empty: where one
// of them has been at work, it goes, unless something is in it.
Status take_lost_and_found_away(BorrowedFd image, BorrowedFd root) {
  ASSIGN_OR_RETURN(bool touched, is_marked_touched(image));
  if (!touched) return {};
  if (::unlinkat(root.get(), "lost+found", AT_REMOVEDIR) != 0 && errno != ENOENT &&
      errno != ENOTEMPTY)
    return fail_errno("remove \"lost+found\"");
  return mark_touched(image, false);
}

Status sync_directory_of(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto readable, open_directory(volume.directory, ""));
  return sync_fd(readable, "volume directory");
}

Status rename_in(const SizedVolume& volume, const char* from, const char* to) {
  if (::renameat2(volume.directory.get(), from, volume.directory.get(), to, RENAME_NOREPLACE) != 0)
    return fail_errno("rename \"{}\" of volume \"{}\"", from, volume.name);
  return {};
}

Status make_mount_point(const SizedVolume& volume) {
  if (::mkdirat(volume.directory.get(), layout::kData, 0755) != 0 && errno != EEXIST)
    return fail_errno("mkdir \"_data\"");
  return set_immutable(volume.directory, layout::kData, true);
}

}  // namespace

ImageBacking::ImageBacking(const MountDeadlines& deadlines)
    : deadlines_(deadlines), grows_mounted_(has_capability(kSysResource)) {}

Result<bool> ImageBacking::has(const SizedVolume& volume) {
  return exists(volume.directory, layout::kImage) || exists(volume.directory, layout::kOldData);
}

// Hangs nowhere yet, and shows no more than the limit.
Result<ImageBacking::Detached> ImageBacking::mount_detached(OpenedPath image, std::uint64_t limit) {
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image.fd));
  if (::flock(image.fd.get(), LOCK_UN) != 0) return fail_errno("unlock image");
  LoopOptions direct;
  direct.direct = true;
  ASSIGN_OR_RETURN(auto loop, attach_loop_device(image, direct, deadlines_.mount));
  // With discard, what is deleted inside becomes a hole in the file again.
  std::vector<MountOption> options = {{"discard", std::nullopt, BorrowedFd(-1)},
                                      {"errors", "remount-ro", BorrowedFd(-1)}};
  ASSIGN_OR_RETURN(auto mount,
                   mount_filesystem_in_child("ext4", loop.path, options, {}, deadlines_.mount));
  ASSIGN_OR_RETURN(auto blocks, count_blocks(mount.root()));
  if (blocks.total < superblock.own + limit)
    return fail(Code::kInternal, "the image has {} blocks, {} are wanted", blocks.total, limit);
  RETURN_IF_ERROR(take_lost_and_found_away(image.fd, mount.root()));
  RETURN_IF_ERROR(hold_back_blocks(loop.path, to_hold_back(superblock, blocks.total, limit)));
  return Detached{std::move(mount), std::move(loop.path)};
}

Status ImageBacking::make_new(const SizedVolume& volume) {
  ::unlinkat(volume.directory.get(), layout::kNewImage, 0);
  ASSIGN_OR_RETURN(auto made, make_image(volume.directory, layout::kNewImage,
                                         planned_capacity(blocks_of(volume), grows_mounted_)));
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kNewImage));
  return mount_detached(std::move(image), blocks_of(volume)).map([](const Detached&) {});
}

Status ImageBacking::create(const SizedVolume& volume) {
  auto make = [&]() -> Status {
    RETURN_IF_ERROR(make_new(volume));
    ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kNewImage));
    RETURN_IF_ERROR(sync_fd(image.fd, "image"));
    RETURN_IF_ERROR(rename_in(volume, layout::kNewImage, layout::kImage));
    RETURN_IF_ERROR(make_mount_point(volume));
    return sync_directory_of(volume);
  };
  return make();
}

// The files are copied into a new image. Crash points:
//   1. before _data.ext4.new is complete, it is thrown away by the next call
//   2. _data is renamed to _data.old: from here on the volume is its image
//   3. _data.ext4.new is renamed to _data.ext4
//   4. _data is made anew, and _data.old deleted
// finish_adoption() goes on from wherever it finds _data.old.
Status ImageBacking::adopt(const SizedVolume& volume) {
  auto copy = [&]() -> Status {
    RETURN_IF_ERROR(make_new(volume));
    ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kNewImage));
    ASSIGN_OR_RETURN(auto detached, mount_detached(std::move(image), blocks_of(volume)));
    ASSIGN_OR_RETURN(auto from, open_directory(volume.directory, layout::kData));
    TreeCopyOptions options;
    options.include_devices = true;
    RETURN_IF_ERROR(
        copy_tree(from, detached.mount.root(), options).map([](const TreeCopyTotals&) {}));
    ASSIGN_OR_RETURN(auto to, open_directory(detached.mount.root(), ""));
    if (::syncfs(to.get()) != 0) return fail_errno("sync image");
    return {};
  };
  if (auto copied = copy(); !copied) {
    ::unlinkat(volume.directory.get(), layout::kNewImage, 0);
    return copied;
  }
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kNewImage));
  RETURN_IF_ERROR(sync_fd(image.fd, "image"));
  RETURN_IF_ERROR(set_immutable(volume.directory, layout::kData, false));
  RETURN_IF_ERROR(rename_in(volume, layout::kData, layout::kOldData));
  return finish_adoption(volume);
}

Status ImageBacking::finish_adoption(const SizedVolume& volume) {
  if (!exists(volume.directory, layout::kOldData)) return {};
  if (!exists(volume.directory, layout::kImage))
    RETURN_IF_ERROR(rename_in(volume, layout::kNewImage, layout::kImage));
  RETURN_IF_ERROR(make_mount_point(volume));
  RETURN_IF_ERROR(sync_directory_of(volume));
  return remove_tree(volume.directory, layout::kOldData);
}

// What is mounted on _data, if anything is: this volume's image and nothing else.
Result<std::optional<ImageBacking::Mounted>> ImageBacking::find_mounted(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(bool covered, is_mounted_on(volume.directory, layout::kData));
  if (!covered) return std::nullopt;
  Mounted mounted;
  ASSIGN_OR_RETURN(mounted.root, open_file_at(volume.directory, layout::kData,
                                              O_PATH | O_DIRECTORY | O_NOFOLLOW));
  ASSIGN_OR_RETURN(auto entry, mount_of(mounted.root));
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kImage));
  if (entry.type != "ext4" || !is_loop_over(entry.source, image.status))
    return fail(Code::kFailedPrecondition,
                "something else than volume \"{}\" is mounted on \"{}\": unmount it first",
                volume.name, volume.target);
  mounted.device = entry.source;
  return mounted;
}

// Before the rename nothing has happened, after it all.
Status ImageBacking::replace_by_larger(const SizedVolume& volume, const OpenedPath& image) {
  ::unlinkat(volume.directory.get(), layout::kNewImage, 0);
  auto replace = [&]() -> Status {
    ASSIGN_OR_RETURN(auto grown, grown_copy(image.fd, volume.directory, layout::kNewImage,
                                            planned_capacity(blocks_of(volume), grows_mounted_)));
    if (::renameat(volume.directory.get(), layout::kNewImage, volume.directory.get(),
                   layout::kImage) != 0)
      return fail_errno("rename image of volume \"{}\"", volume.name);
    return sync_directory_of(volume);
  };
  auto replaced = replace();
  if (!replaced) ::unlinkat(volume.directory.get(), layout::kNewImage, 0);
  return replaced;
}

// Mounts the image, sound and large enough for the limit.
Result<ImageBacking::Detached> ImageBacking::mount_sound(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kImage));
  RETURN_IF_ERROR(lock_image(image, volume, deadlines_.mount));
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image.fd));
  if (superblock.has_errors) RETURN_IF_ERROR(check_image(image.fd));
  if (superblock.capacity() < blocks_of(volume)) {
    RETURN_IF_ERROR(replace_by_larger(volume, image));
    ASSIGN_OR_RETURN(image, open_image(volume, layout::kImage));
  }
  return mount_detached(std::move(image), blocks_of(volume));
}

Result<UniqueFd> ImageBacking::mount(const SizedVolume& volume) {
  RETURN_IF_ERROR(finish_adoption(volume));
  ASSIGN_OR_RETURN(auto already, find_mounted(volume));
  if (already) {
    RETURN_IF_ERROR(resize(volume, true));
    return std::move(already->root);
  }
  ::unlinkat(volume.directory.get(), layout::kNewImage, 0);  // of a growth that was interrupted
  RETURN_IF_ERROR(make_mount_point(volume));
  ASSIGN_OR_RETURN(auto detached, mount_sound(volume));
  ASSIGN_OR_RETURN(
      auto attached,
      std::move(detached.mount).attach(volume.directory, layout::kData, volume.target));
  return attached.commit();
}

Status ImageBacking::unmount(const SizedVolume& volume) {
  return unmount_from_tree(volume.directory, layout::kData, volume.target, deadlines_.unmount);
}

Result<SizeBacking::Use> ImageBacking::use(const SizedVolume& volume) {
  ASSIGN_OR_RETURN(auto mounted, find_mounted(volume));
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kImage));
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image.fd));
  auto used = superblock.used();
  std::uint64_t capacity = superblock.capacity();
  if (mounted) {
    ASSIGN_OR_RETURN(auto blocks, count_blocks(mounted->root));
    used = blocks.total - blocks.free - std::min(blocks.total - blocks.free, superblock.own);
    capacity = blocks.total - superblock.own;
  }
  if (!used) return fail(Code::kUnavailable, "known after the next use");
  Use use;
  use.bytes = *used * kExt4BlockSize;
  if (!grows_mounted_) use.growable_to = capacity * kExt4BlockSize;
  return use;
}

Status ImageBacking::resize(const SizedVolume& volume, bool) {
  ASSIGN_OR_RETURN(auto mounted, find_mounted(volume));
  // A mount by the way, which writes down what a larger file system's tables take.
  if (!mounted) return mount_sound(volume).map([](const Detached&) {});
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kImage));
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image.fd));
  ASSIGN_OR_RETURN(auto blocks, count_blocks(mounted->root));
  if (blocks.total < superblock.own + blocks_of(volume)) {
    RETURN_IF_ERROR(grow_mounted(volume, *mounted));
    ASSIGN_OR_RETURN(superblock, read_ext4_superblock(image.fd));
    ASSIGN_OR_RETURN(blocks, count_blocks(mounted->root));
  }
  return hold_back_blocks(mounted->device,
                          to_hold_back(superblock, blocks.total, blocks_of(volume)));
}

// A crash half-way leaves the file longer than its file system, or that larger than the limit: the
// next mount holds the rest back.
Status ImageBacking::grow_mounted(const SizedVolume& volume, const Mounted& mounted) {
  ASSIGN_OR_RETURN(auto blocks, count_blocks(mounted.root));
  ASSIGN_OR_RETURN(auto image, open_image(volume, layout::kImage));
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image.fd));
  if (!grows_mounted_)
    return fail(Code::kConflict,
                "volume \"{}\" can grow to {} while it is in use, and further when nobody uses it",
                volume.name,
                bytes_size(static_cast<double>((blocks.total - superblock.own) * kExt4BlockSize)));
  for (int attempt = 0; attempt < 8; ++attempt) {
    auto length = length_for(superblock, blocks_of(volume));
    if (::ftruncate(image.fd.get(), static_cast<off_t>(length * kExt4BlockSize)) != 0)
      return fail_errno("set length of image");
    ASSIGN_OR_RETURN(auto device, open_file(mounted.device, O_RDWR));
    RETURN_IF_ERROR(update_loop_size(device));
    RETURN_IF_ERROR(resize_mounted_ext4(mounted.root, length));
    ASSIGN_OR_RETURN(superblock, read_ext4_superblock(device));
    ASSIGN_OR_RETURN(blocks, count_blocks(mounted.root));
    if (blocks.total >= superblock.own + blocks_of(volume)) return {};
  }
  return fail(Code::kInternal, "the image of volume \"{}\" does not grow", volume.name);
}

}  // namespace holdfast
