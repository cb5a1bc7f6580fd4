#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <memory>

#include "base/file.h"
#include "base/random.h"
#include "storage/copy/tree_remove.h"
#include "storage/driver/local/disposal.h"
#include "storage/volume/volumes_impl.h"

// How a volume goes. Crash points:
//   1. rename into trash/      before it nothing has happened
//   2. sync of both directories: from here on the removal holds, whatever the
//   store's table says. Of a fresh volume (fresh.cc) the row is erased instead,
//   and open() deletes whatever it finds of it
//   3. its files are deleted, in the background
//   4. the row in the store is erased
//   5. what is left under trash/ is deleted, once both are done
// open() finishes from wherever it finds trash/volume-<id>: with a sidecar
// whose id the table still has, from 4. A row without a directory and without
// trash is a volume whose data is missing, never a removed one, since 5 waits
// for 4. The files go before 4: on a full disk the table can't change until
// there is room again.
namespace holdfast {
namespace {

// Empty directories kept in trash/: on a full disk a volume is renamed over one
// of them, which takes no new room.
constexpr int kReserves = 8;

const std::string kReservePrefix = std::string(layout::kVolumePrefix) + "reserve-";

std::string reserve_name(int number) { return kReservePrefix + std::to_string(number); }

}  // namespace

bool is_reserve(const std::string& name) { return name.starts_with(kReservePrefix); }

void Volumes::Impl::keep_reserves() {
  for (int i = 0; i < kReserves; ++i)
    ::mkdirat(directories.trash.get(), reserve_name(i).c_str(), 0700);
}

Result<Volumes::Impl::Removal> Volumes::Impl::move_to_trash(VolumePtr volume, bool force,
                                                            bool gone) {
  const char* name = volume->name.str().c_str();
  // Where that fails there is nothing of it, or no disk to rely on.
  if (is_recovered(volume->name)) static_cast<void>(firm_up(*volume));
  Removal removal{volume, {}, is_fresh(volume->name)};
  auto directory = directories.open_volume(volume->name);
  // Its data is missing and the user wants it gone: there is only the record to
  // remove.
  if (!directory && directory.error().code == Code::kDataLoss) return removal;
  if (!directory) return tl::unexpected(std::move(directory).error());
  auto released = drivers.find(volume->driver).and_then([&](VolumeDriver* by) {
    return gone ? Status() : by->remove(*volume, *directory);
  });
  if (!released && !force) return tl::unexpected(std::move(released).error());
  auto moved = [&](std::string id) {
    removal.trash_id = std::move(id);
    return ::renameat(directories.volumes.get(), name, directories.trash.get(),
                      removal.trash_id.c_str()) == 0;
  };
  if (moved(layout::kVolumePrefix + random_hex(32))) return removal;
  for (int i = 0; i < kReserves && (errno == ENOSPC || errno == EDQUOT); ++i) {
    int full = errno;
    if (moved(reserve_name(i))) return removal;
    errno = full;  // that one is taken
  }
  return fail_errno("rename \"{}/volumes/{}\"", directories.root, name);
}

Status Volumes::Impl::sync_removals(const std::vector<Removal>& removals) {
  std::vector<RecordIndex::Row> rows;
  for (const auto& removal : removals)
    if (removal.fresh) rows.push_back({removal.volume->name.str(), std::nullopt});
  RETURN_IF_ERROR(index.commit(rows));
  if (rows.size() == removals.size()) return {};
  auto status = sync_fd(directories.volumes, "volumes directory");
  if (status && !directories.ordered_journal) status = sync_fd(directories.trash, "trash");
  return noted(std::move(status));
}

// After a failed sync: nobody knows what the disk holds, so the volume stays,
// here at least.
void Volumes::Impl::take_back(const Removal& removal) {
  if (removal.trash_id.empty()) return;
  ::renameat(directories.trash.get(), removal.trash_id.c_str(), directories.volumes.get(),
             removal.volume->name.str().c_str());
}

void Volumes::Impl::discard(const Removal& removal) {
  const auto& trash_id = removal.trash_id;
  if (removal.fresh) {
    if (!trash_id.empty()) janitors.submit([this, trash_id] { delete_trash(trash_id, true); });
    return;
  }
  const auto& name = removal.volume->name.str();
  if (trash_id.empty()) {
    index.erase(name, {});
    return;
  }
  // The rest follows whichever of the two ends last: two removals in one tree would each take what
  // the other is about to open, and give up over it.
  auto left = std::make_shared<std::atomic<int>>(2);
  auto ended = [this, trash_id, left] {
    if (left->fetch_sub(1) == 1)
      janitors.submit([this, trash_id] { delete_trash(trash_id, true); });
  };
  janitors.submit([this, trash_id, ended] {
    delete_trash(trash_id, false);
    ended();
  });
  index.erase(name, ended);
}

// What can't be deleted now (an immutable file, an I/O error) stays and is
// tried again after the next open().
void Volumes::Impl::delete_trash(const std::string& id, bool sidecar_too) {
  auto directory = open_file_at(directories.trash, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) return;
  auto files = dispose_of_files(*directory, &stopping);
  if (!files || !sidecar_too) return;
  static_cast<void>(remove_tree(directories.trash, id, &stopping));
  keep_reserves();
}

void Volumes::Impl::delete_staged(const std::string& name) {
  janitors.submit([this, name] {
    auto directory = open_file_at(directories.staging, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (directory && !dispose_of_files(*directory, &stopping)) return;
    static_cast<void>(remove_tree(directories.staging, name, &stopping));
  });
}

}  // namespace holdfast
