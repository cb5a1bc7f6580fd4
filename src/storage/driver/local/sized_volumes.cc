#include "storage/driver/local/sized_volumes.h"

#include "base/size_text.h"
#include "storage/driver/local/mount_options.h"

namespace holdfast {
namespace {

std::string text_of(std::uint64_t bytes) { return bytes_size(static_cast<double>(bytes)); }

// The words of a copy that found no room say whose room it was.
Status too_small(const Status& status, const SizedVolume& volume) {
  if (status || status.error().code != Code::kResourceExhausted) return status;
  return fail(Code::kResourceExhausted,
              "a size of {} is too small for what volume \"{}\" holds: {}", text_of(volume.limit),
              volume.name, status.error().message);
}

}  // namespace

Result<SizedVolume> SizedVolumes::sized(const Volume& volume, BorrowedFd directory) const {
  ASSIGN_OR_RETURN(auto limit, size_limit(volume.options));
  SizedVolume result{volume.name.str(), directory, directories_.mountpoint(volume.name), limit};
  result.limit = (limit + kLimitBlock - 1) / kLimitBlock * kLimitBlock;
  return result;
}

SizeBacking& SizedVolumes::backing_for(BorrowedFd directory) {
  if (subvolume_.suits(directory)) return subvolume_;
  if (project_.suits(directory)) return project_;
  return image_;
}

// nullptr: it has none yet.
Result<SizeBacking*> SizedVolumes::backing_of(const SizedVolume& volume) {
  for (SizeBacking* backing :
       {static_cast<SizeBacking*>(&image_), static_cast<SizeBacking*>(&subvolume_),
        static_cast<SizeBacking*>(&project_)}) {
    ASSIGN_OR_RETURN(bool has, backing->has(volume));
    if (has) return backing;
  }
  return nullptr;
}

Status SizedVolumes::create(const Volume& volume, BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto wanted, sized(volume, directory));
  return backing_for(directory).create(wanted);
}

Status SizedVolumes::adopt(const SizedVolume& volume) {
  return too_small(backing_for(volume.directory).adopt(volume), volume);
}

Result<UniqueFd> SizedVolumes::mount(const Volume& volume, BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto wanted, sized(volume, directory));
  ASSIGN_OR_RETURN(auto* backing, backing_of(wanted));
  if (!backing) {
    RETURN_IF_ERROR(adopt(wanted));
    ASSIGN_OR_RETURN(backing, backing_of(wanted));
  }
  if (!backing)
    return fail(Code::kInternal, "volume \"{}\" has nothing that keeps it to its size",
                volume.name);
  return backing->mount(wanted);
}

Status SizedVolumes::unmount(const Volume& volume, BorrowedFd directory) {
  ASSIGN_OR_RETURN(auto wanted, sized(volume, directory));
  ASSIGN_OR_RETURN(auto* backing, backing_of(wanted));
  return backing ? backing->unmount(wanted) : Status{};
}

Status SizedVolumes::resize(const Volume& volume, BorrowedFd directory, bool mounted) {
  ASSIGN_OR_RETURN(auto wanted, sized(volume, directory));
  ASSIGN_OR_RETURN(auto* backing, backing_of(wanted));
  if (!backing && mounted)
    return fail(Code::kConflict,
                "option \"size\" can be given to a volume that has none when nobody uses it");
  if (!backing) return adopt(wanted);
  ASSIGN_OR_RETURN(auto use, backing->use(wanted));
  if (wanted.limit < use.bytes)
    return fail(Code::kConflict, "option \"size\": {} is less than the {} the volume holds",
                text_of(wanted.limit), text_of(use.bytes));
  return backing->resize(wanted, mounted);
}

json::Object SizedVolumes::status(const Volume& volume, BorrowedFd directory) {
  json::Object status;
  auto wanted = sized(volume, directory);
  if (!wanted) return status;
  status["Limit"] = wanted->limit;
  auto backing = backing_of(*wanted);
  if (!backing || !*backing) {
    status["Backing"] = "none before the next use";
    return status;
  }
  status["Backing"] = (*backing)->name();
  auto use = (*backing)->use(*wanted);
  if (!use) return status;
  status["Used"] = use->bytes;
  if (use->growable_to) status["GrowsInUseTo"] = *use->growable_to;
  return status;
}

std::optional<std::uint64_t> SizedVolumes::used(const Volume& volume, BorrowedFd directory) {
  auto wanted = sized(volume, directory);
  if (!wanted) return std::nullopt;
  auto backing = backing_of(*wanted);
  if (!backing || !*backing) return std::nullopt;
  auto use = (*backing)->use(*wanted);
  return use ? std::optional(use->bytes) : std::nullopt;
}

}  // namespace holdfast
