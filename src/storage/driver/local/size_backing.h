#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// Limits are whole blocks.
inline constexpr std::uint64_t kLimitBlock = 4096;

// A volume with a size limit, as its backing sees it.
struct SizedVolume {
  std::string name;
  BorrowedFd directory;     // its own directory
  std::string target;       // the host path of its _data
  std::uint64_t limit = 0;  // bytes, whole blocks
};

// What keeps a volume of the local driver to its size. Holds no state: what a volume has is seen in
// its directory, which moves and is copied with all in it. One call at a time for each volume;
// thread-safe otherwise.
class SizeBacking {
 public:
  virtual ~SizeBacking() = default;

  virtual std::string_view name() const = 0;  // for people

  // Whether volumes made in `directory` now can be kept to a size by it.
  virtual bool suits(BorrowedFd directory) = 0;

  // Whether it keeps the volume.
  virtual Result<bool> has(const SizedVolume& volume) = 0;

  // Makes _data, empty and durable.
  virtual Status create(const SizedVolume& volume) = 0;

  // Takes over _data, a plain directory that nobody has in use, with what is in it. After a failure
  // or crash it is the directory still, or done; repeating is safe. kResourceExhausted when the
  // limit is too small for it.
  virtual Status adopt(const SizedVolume& volume) = 0;

  // The root of its files (O_PATH), with the limit in force. Repeating is success.
  virtual Result<UniqueFd> mount(const SizedVolume& volume) = 0;
  virtual Status unmount(const SizedVolume& volume) = 0;

  struct Use {
    std::uint64_t bytes = 0;
    // What the limit can be raised to while the volume is in use; nullopt: anything.
    std::optional<std::uint64_t> growable_to;
  };
  virtual Result<Use> use(const SizedVolume& volume) = 0;

  // Brings the limit of `volume` into force, be it in use or not. It holds already for the rest:
  // no less than what is used. kConflict says why it can't be now.
  virtual Status resize(const SizedVolume& volume, bool mounted) = 0;
};

}  // namespace holdfast
