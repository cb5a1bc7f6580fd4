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

std::optional<std::uint64_t> Volumes::size(const VolumeName& name,
                                           std::chrono::milliseconds budget) {
  Impl* impl = impl_.get();
  std::unique_lock lock(impl->mutex);
  auto entry = [&]() -> VolumeEntry* {
    auto found = impl->entries.find(name.str());
    return found == impl->entries.end() || !found->second.volume ? nullptr : &found->second;
  };
  auto* seen = entry();
  if (!seen || impl->is_remote(*seen->volume)) return std::nullopt;
  auto started = std::chrono::steady_clock::now();
  if (seen->size && started - seen->size_known_at < kSizeIsFresh) return seen->size;
  if (!std::exchange(seen->measuring, true)) {
    impl->janitors.submit([impl, name, volume = seen->volume] {
      auto bytes = impl->measure(*volume);
      std::lock_guard done(impl->mutex);
      if (auto found = impl->entries.find(name.str()); found != impl->entries.end()) {
        found->second.measuring = false;
        found->second.size = bytes;
        found->second.size_known_at = std::chrono::steady_clock::now();
      }
      impl->measured.notify_all();
    });
  }
  impl->measured.wait_until(lock, started + budget, [&] {
    auto* now_there = entry();
    return !now_there || !now_there->measuring;
  });
  auto* measured = entry();
  // Past the budget an older count is better than none.
  return measured ? measured->size : std::nullopt;
}

}  // namespace holdfast
