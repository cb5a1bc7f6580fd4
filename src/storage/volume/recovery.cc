#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "os/inode_flags.h"
#include "storage/copy/directory_fill.h"
#include "storage/copy/directory_reader.h"
#include "storage/copy/tree_remove.h"
#include "storage/volume/volumes_impl.h"

// What open() does. Reads the store's table and three directories, and looks at
// single volumes only where the two disagree, so that 16,000 volumes cost no
// more than their names. Doing it twice changes nothing more.
namespace holdfast {
namespace {

bool has(const std::vector<std::string>& sorted, const std::string& name) {
  return std::binary_search(sorted.begin(), sorted.end(), name);
}

}  // namespace

Result<std::vector<std::string>> names_in(BorrowedFd directory) {
  std::vector<std::string> names;
  ASSIGN_OR_RETURN(auto readable, open_directory(directory, ""));
  while (true) {
    ASSIGN_OR_RETURN(auto batch, read_batch(readable));
    if (!batch) break;
    while (auto entry = batch->next()) names.emplace_back(entry->name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<Volume> read_sidecar(BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto file,
                   open_file_at(directory, layout::kSidecar, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  ASSIGN_OR_RETURN(auto text, read_all(file, 1 << 20));
  return Volume::from_json(text);
}

Status Volumes::Impl::recover() {
  RETURN_IF_ERROR(undo_renames());
  RETURN_IF_ERROR(load_records());
  RETURN_IF_ERROR(settle_updates());
  // Rows of removed volumes go first: a new volume may have the name by now.
  RETURN_IF_ERROR(sort_trash());
  RETURN_IF_ERROR(finish_adoptions());
  remake_fresh();
  std::vector<std::string> names;
  RETURN_IF_ERROR(compare_directories(names));
  report_missing(names);
  keep_reserves();
  return sweep_staging();
}

Status Volumes::Impl::load_records() {
  ASSIGN_OR_RETURN(auto records, store.all(RecordKind::kVolume));
  for (const auto& record : records) {
    auto row = VolumeRow::from_json(record.document);
    if (!row || row->volume.name.str() != record.key) {
      // Its sidecar has it, if the directory is there.
      warnings.push_back(
          fmt::format("record of volume \"{}\" is damaged: rebuilt from its own "
                      "directory",
                      record.key));
      continue;
    }
    row->volume.mountpoint = first_mountpoint(row->volume);
    // Records come ordered by name, as the map is: each goes to the end.
    auto& entry = entries.emplace_hint(entries.end(), record.key, VolumeEntry{})->second;
    entry.volume = std::make_shared<const Volume>(std::move(row->volume));
    entry.last_used = row->last_used;
    entry.fresh = row->fresh;
  }
  return {};
}

Status Volumes::Impl::compare_directories(std::vector<std::string>& names) {
  ASSIGN_OR_RETURN(names, names_in(directories.volumes));
  for (const auto& name : names) {
    if (!entries.contains(name)) adopt(name);
  }
  return {};
}

// Volumes whose data is gone (a disk not mounted, perhaps) stay on record:
// mounting them fails, and nothing is made in their place.
void Volumes::Impl::report_missing(const std::vector<std::string>& names) {
  constexpr std::size_t kNamed = 5;
  std::size_t missing = 0;
  std::string named;
  for (const auto& [name, entry] : entries) {
    if (has(names, name) || ++missing > kNamed) continue;
    named += fmt::format("{}\"{}\"", named.empty() ? "" : ", ", name);
  }
  if (missing == 0) return;
  warnings.push_back(
      fmt::format("the data of {} of {} volumes is missing from \"{}/volumes\": {}{}", missing,
                  entries.size(), directories.root, named, missing > kNamed ? ", …" : ""));
}

// A directory the table doesn't know: a creation whose row was not committed
// yet, or a table that was lost.
void Volumes::Impl::adopt(const std::string& name) {
  auto directory = open_file_at(directories.volumes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    if (directory.error().sys_errno != ENOTDIR)
      warnings.push_back(fmt::format("volume \"{}\": {}", name, directory.error().message));
    return;
  }
  auto volume = read_sidecar(*directory);
  if (!volume) {
    if (!discard_leftover(name))
      warnings.push_back(fmt::format("\"{}/volumes/{}\" has no valid record and is left alone: {}",
                                     directories.root, name, volume.error().message));
    return;
  }
  if (volume->name.str() != name) {
    warnings.push_back(
        fmt::format("\"{}/volumes/{}\" is left alone: its record is of volume \"{}\"",
                    directories.root, name, volume->name));
    return;
  }
  index.put(name, volume->to_json());
  volume->mountpoint = first_mountpoint(*volume);
  entries[name].volume = std::make_shared<const Volume>(std::move(*volume));
}

// A creation that had no record yet, or lost its bytes to a power cut, before
// anybody was told of it. rmdir(2) takes only what is empty, so that nothing
// else can be lost here.
bool Volumes::Impl::discard_leftover(const std::string& name) {
  auto directory = open_file_at(directories.volumes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) return false;
  auto sidecar = open_file_at(*directory, layout::kSidecar, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
                     .and_then([](const UniqueFd& file) { return read_all(file, 1 << 20); });
  // Its length may be there without its bytes.
  bool without = sidecar ? sidecar->find_first_not_of('\0') == std::string::npos
                         : sidecar.error().sys_errno == ENOENT;
  if (!without) return false;
  if (::unlinkat(directory->get(), layout::kData, AT_REMOVEDIR) != 0 && errno != ENOENT) {
    // Perhaps only because it is marked as a mount point, which an empty one may cease to be.
    static_cast<void>(set_immutable(*directory, layout::kData, false));
    if (::unlinkat(directory->get(), layout::kData, AT_REMOVEDIR) != 0) return false;
  }
  return (::unlinkat(directory->get(), layout::kSidecar, 0) == 0 || errno == ENOENT) &&
         ::unlinkat(directories.volumes.get(), name.c_str(), AT_REMOVEDIR) == 0;
}

Status Volumes::Impl::sort_trash() {
  ASSIGN_OR_RETURN(auto names, names_in(directories.trash));
  for (const auto& id : names) {
    if (!id.starts_with(layout::kVolumePrefix)) continue;
    auto finish = [this, id] { janitors.submit([this, id] { delete_trash(id, true); }); };
    auto directory = open_file_at(directories.trash, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory || (is_reserve(id) && is_empty(*directory).value_or(false))) continue;
    auto removed = read_sidecar(*directory);
    auto found = removed ? entries.find(removed->name.str()) : entries.end();
    if (found == entries.end() || found->second.volume->id != removed->id) {
      finish();
      continue;
    }
    index.erase(found->first, finish);
    entries.erase(found);
  }
  return {};
}

// Volumes whose files are moved in from another engine (adoption.cc): with them it has all it
// needs, without them they are where they were.
Status Volumes::Impl::finish_adoptions() {
  ASSIGN_OR_RETURN(auto names, names_in(directories.staging));
  for (const auto& name : names) {
    if (!name.starts_with(layout::kAdoptPrefix)) continue;
    auto finish = [&]() -> Status {
      ASSIGN_OR_RETURN(auto directory, open_directory(directories.staging, name.c_str()));
      struct stat data = {};
      if (::fstatat(directory.get(), layout::kData, &data, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT) return fail_errno("stat \"{}\"", layout::kData);
        delete_staged(name);
        return {};
      }
      ASSIGN_OR_RETURN(auto volume, read_sidecar(directory));
      if (::renameat2(directories.staging.get(), name.c_str(), directories.volumes.get(),
                      volume.name.str().c_str(), RENAME_NOREPLACE) != 0)
        return fail_errno("rename to \"{}/volumes/{}\"", directories.root, volume.name);
      return sync_fd(directories.volumes, "volumes directory");
    };
    if (auto finished = finish(); !finished)
      warnings.push_back(
          fmt::format("files of a volume that was to be taken over stay in \"{}/staging/{}\": {}",
                      directories.root, name, finished.error().message));
  }
  return {};
}

// The volume that a marker of staging/ tells of: by its id, since it may have another name by now.
VolumeEntry* Volumes::Impl::filled_by(const json::Object& marker) {
  std::string id = json::string_or(marker, "volume_id");
  auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.second.volume && entry.second.volume->id == id;
  });
  if (found == entries.end() && id.empty()) found = entries.find(json::string_or(marker, "volume"));
  return found != entries.end() && found->second.volume ? &found->second : nullptr;
}

Status Volumes::Impl::sweep_staging() {
  ASSIGN_OR_RETURN(auto names, names_in(directories.staging));
  for (const auto& name : names) {
    bool fill = name.starts_with(layout::kFillPrefix);
    if (fill && name.ends_with(layout::kMarkerSuffix)) {
      auto path = fmt::format("{}/staging/{}", directories.root, name);
      auto text = read_file(path);
      auto marker = text ? json::parse_object(*text) : Result<json::Object>(json::Object{});
      if (auto* entry = marker ? filled_by(*marker) : nullptr)
        entry->unfinished_fill = json::string_or(*marker, "id");
      else
        RETURN_IF_ERROR(remove_file(path));
      continue;
    }
    if (fill || name.starts_with(layout::kVolumePrefix)) delete_staged(name);
  }
  return {};
}

}  // namespace holdfast
