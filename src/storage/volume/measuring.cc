#include <fcntl.h>

#include "base/file.h"
#include "storage/copy/tree_size.h"
#include "storage/volume/volumes_impl.h"

// How big volumes are.
namespace holdfast {
namespace {

constexpr std::chrono::seconds kSizeIsFresh(5);

}  // namespace

// Files are counted where they lie in the data root only: what is mounted may hang, and is asked by
// its driver.
std::optional<std::uint64_t> Volumes::Impl::measure(const Volume& volume) {
  auto directory = directories.open_volume(volume.name);
  auto driver = drivers.find(volume.driver);
  if (!directory || !driver) return std::nullopt;
  auto use = (*driver)->use(volume, *directory);
  if (use.measure == VolumeDriver::Measure::kKnown) return use.bytes;
  if (use.measure == VolumeDriver::Measure::kUnknown) return std::nullopt;
  auto files = open_file_at(*directory, layout::kData, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!files) return std::nullopt;
  auto bytes = tree_size(*files, &stopping);
  return bytes ? std::optional(*bytes) : std::nullopt;
}

// Under the mutex. The count goes on whoever waits for it.
void Volumes::Impl::begin_measuring(VolumeEntry& entry) {
  bool fresh = entry.size && std::chrono::steady_clock::now() - entry.size_known_at < kSizeIsFresh;
  if (fresh || std::exchange(entry.measuring, true)) return;
  janitors.submit([this, volume = entry.volume] {
    auto bytes = measure(*volume);
    std::lock_guard lock(mutex);
    // It may have been renamed or removed meanwhile, and another one have its name.
    auto found = entries.find(volume->name.str());
    if (found != entries.end() && found->second.volume && found->second.volume->id == volume->id) {
      found->second.measuring = false;
      found->second.size = bytes;
      found->second.size_known_at = std::chrono::steady_clock::now();
    }
    measured.notify_all();
  });
}

std::vector<std::optional<std::uint64_t>> Volumes::sizes(const std::vector<VolumeName>& names,
                                                         std::chrono::milliseconds budget) {
  auto deadline = std::chrono::steady_clock::now() + budget;
  std::unique_lock lock(impl_->mutex);
  auto entry_of = [&](const VolumeName& name) -> VolumeEntry* {
    auto found = impl_->entries.find(name.str());
    if (found == impl_->entries.end() || !found->second.volume) return nullptr;
    return impl_->is_remote(*found->second.volume) ? nullptr : &found->second;
  };
  for (const auto& name : names)
    if (auto* entry = entry_of(name)) impl_->begin_measuring(*entry);
  std::vector<std::optional<std::uint64_t>> sizes;
  for (const auto& name : names) {
    impl_->measured.wait_until(lock, deadline, [&] {
      auto* entry = entry_of(name);
      return !entry || !entry->measuring;
    });
    // Past the budget an older count is better than none.
    auto* entry = entry_of(name);
    sizes.push_back(entry ? entry->size : std::nullopt);
  }
  return sizes;
}

std::optional<std::uint64_t> Volumes::size(const VolumeName& name,
                                           std::chrono::milliseconds budget) {
  return sizes({name}, budget)[0];
}

}  // namespace holdfast
