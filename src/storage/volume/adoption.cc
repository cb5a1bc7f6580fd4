#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_copy.h"
#include "storage/volume/volumes_impl.h"

// How a volume comes of the files that another engine keeps.
//
// A copy is built in staging/volume-<id>, as every new volume is, and synced before it is renamed
// into place: until then open() sweeps it.
//
// A move has no copy to lose, so that staging must not be swept with the files in it:
//
//   1. staging/adopt-<id> with the record, synced
//   2. _data is renamed from the source into it; both directories synced
//   3. it is renamed into place
//
// Crash points: before 2 the source has its files, and open() takes the empty directory away;
// after it open() does 3. The record says which volume it is.
namespace holdfast {
namespace {

bool can_not_share(int number) {
  return number == EOPNOTSUPP || number == EXDEV || number == EINVAL || number == ENOTTY ||
         number == ENOSYS;
}

Status move_files(BorrowedFd from, BorrowedFd to) {
  if (::renameat2(from.get(), layout::kData, to.get(), layout::kData, RENAME_NOREPLACE) == 0)
    return {};
  if (errno == EXDEV)
    return fail(Code::kInvalidArgument,
                "its files are on another file system than this engine's data root, where they "
                "can't be moved to: copy them");
  return fail_errno("move \"{}\"", layout::kData);
}

// Whether `_data` is the directory `expected`: who owns the source may put something else there at
// any time.
Status check_same(BorrowedFd directory, BorrowedFd expected) {
  struct stat moved = {}, wanted = {};
  if (::fstatat(directory.get(), layout::kData, &moved, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::fstat(expected.get(), &wanted) != 0)
    return fail_errno("stat \"{}\"", layout::kData);
  if (moved.st_dev == wanted.st_dev && moved.st_ino == wanted.st_ino) return {};
  return fail(Code::kAborted, "\"{}\" was replaced meanwhile", layout::kData);
}

}  // namespace

Status Volumes::Impl::may_adopt(const VolumeSpec& spec) {
  RETURN_IF_ERROR(check_volume_name(spec.name));
  {
    std::lock_guard lock(mutex);
    auto found = entries.find(spec.name);
    if (found != entries.end() && found->second.volume)
      return fail(Code::kAlreadyExists, "a volume of that name is here already");
  }
  if (spec.options.contains("size"))
    return fail(Code::kInvalidArgument, "a limit of size is set once the volume is there");
  auto volume = new_volume(spec);
  RETURN_IF_ERROR(check_record_size(volume));
  ASSIGN_OR_RETURN(auto* by, drivers.find(volume.driver));
  return by->check(volume, {});  // paths in its options are judged for those who mount it
}

Status Volumes::may_adopt(const VolumeSpec& spec) { return impl_->may_adopt(spec); }

Status Volumes::Impl::copy_files_in(const std::string& staged, const Adoption& adoption) {
  ASSIGN_OR_RETURN(auto from, open_directory(adoption.source, layout::kData));
  ASSIGN_OR_RETURN(auto directory, open_directory(directories.staging, staged.c_str()));
  ASSIGN_OR_RETURN(auto to, open_directory(directory, layout::kData));
  bool must_share = adoption.by == AdoptBy::kReflink;
  TreeCopyOptions options;
  options.include_devices = adoption.include_devices;
  if (must_share) options.sharing = BlockSharing::kRequired;
  options.one_file_system = true;
  options.cancelled = adoption.cancelled;
  options.copied = adoption.copied;
  auto copied = copy_tree(from, to, options);
  if (!copied && must_share && can_not_share(copied.error().sys_errno))
    return fail(Code::kNotImplemented,
                "the file system can't share blocks between there and this engine's data root: "
                "copy them");
  RETURN_IF_ERROR(copied);
  if (::syncfs(to.get()) != 0) return noted(fail_errno("sync file system"));
  return {};
}

Status Volumes::Impl::adopt_by_copy(const Volume& volume, const Adoption& adoption) {
  std::string staged = layout::kVolumePrefix + volume.id;
  auto work = [&]() -> Status {
    UniqueFd sidecar;
    RETURN_IF_ERROR(build(volume, false, staged, sidecar));
    if (adoption.source.get() >= 0) RETURN_IF_ERROR(copy_files_in(staged, adoption));
    if (adoption.confirm) RETURN_IF_ERROR(adoption.confirm());
    return move_in(volume, staged, sidecar);
  };
  auto status = work();
  if (!status) delete_staged(staged);
  return status;
}

Status Volumes::Impl::adopt_by_move(const Volume& volume, const Adoption& adoption) {
  ASSIGN_OR_RETURN(auto files, open_directory(adoption.source, layout::kData));
  std::string staged = layout::kAdoptPrefix + volume.id;
  if (::mkdirat(directories.staging.get(), staged.c_str(), 0700) != 0)
    return fail_errno("mkdir \"{}/staging/{}\"", directories.root, staged);
  ASSIGN_OR_RETURN(auto directory, open_directory(directories.staging, staged.c_str()));
  bool moved = false;
  auto work = [&]() -> Status {
    ASSIGN_OR_RETURN(auto sidecar, write_sidecar(directory, volume));
    RETURN_IF_ERROR(noted(sync_fd(sidecar, "volume record")));
    RETURN_IF_ERROR(noted(sync_fd(directory, "volume directory")));
    RETURN_IF_ERROR(noted(sync_fd(directories.staging, "staging directory")));
    if (adoption.confirm) RETURN_IF_ERROR(adoption.confirm());
    RETURN_IF_ERROR(move_files(adoption.source, directory));
    moved = true;
    RETURN_IF_ERROR(check_same(directory, files));
    RETURN_IF_ERROR(noted(sync_fd(directory, "volume directory")));
    RETURN_IF_ERROR(noted(sync_fd(adoption.source, "source directory")));
    return move_in(volume, staged, sidecar);
  };
  auto status = work();
  if (status) return {};
  if (moved && !move_files(directory, adoption.source))
    return tl::unexpected(std::move(status).error().wrap(
        fmt::format("its files are in \"{}/staging/{}\" now", directories.root, staged)));
  delete_staged(staged);
  return status;
}

Result<VolumePtr> Volumes::adopt(const Adoption& adoption) {
  auto turn = impl_->enter(adoption.spec.name);
  auto volume = new_volume(adoption.spec);
  if (adoption.created != Time{}) volume.created = adoption.created;
  auto made = impl_->check_health();
  if (made) made = impl_->may_adopt(adoption.spec);
  bool moves = adoption.by == AdoptBy::kMove && adoption.source.get() >= 0;
  if (made)
    made = moves ? impl_->adopt_by_move(volume, adoption) : impl_->adopt_by_copy(volume, adoption);
  if (!made) return about("take over", adoption.spec.name, made.error());
  return impl_->publish(std::move(volume), {});
}

}  // namespace holdfast
