#include "os/ext4.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr off_t kSuperblockAt = 1024;
constexpr std::uint16_t kMagic = 0xef53;
constexpr std::uint16_t kErrorState = 2;          // EXT4_ERROR_FS
constexpr std::uint32_t kCompatResizeInode = 16;  // its own block of addresses counts as used
constexpr std::uint32_t kIncompatRecover = 4;

// What tables take of our file systems at most, one of so many blocks, and a journal.
constexpr std::uint64_t kMostTables = 8;
constexpr std::uint64_t kMostJournal = (64 << 20) / kExt4BlockSize;

// _IOW('f', 16, __u64): EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h.
constexpr unsigned long kResizeFs = _IOW('f', 16, std::uint64_t);

// Little-endian fields at their offsets.
class Fields {
 public:
  explicit Fields(const std::array<char, 1024>& bytes) : bytes_(bytes) {}
  std::uint16_t half(std::size_t at) const {
    std::uint16_t value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return le16toh(value);
  }
  std::uint32_t word(std::size_t at) const {
    std::uint32_t value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return le32toh(value);
  }
  std::uint64_t both(std::size_t low, std::size_t high) const {
    return word(low) | static_cast<std::uint64_t>(word(high)) << 32;
  }

 private:
  const std::array<char, 1024>& bytes_;
};

}  // namespace

std::uint64_t Ext4Superblock::capacity() const {
  std::uint64_t taken = overhead.value_or(blocks / kMostTables + kMostJournal) + own;
  return blocks - std::min(blocks, taken);
}

std::uint64_t ext4_blocks_for(std::uint64_t capacity) {
  constexpr std::uint64_t kMostOwn = 2;
  return (capacity + kMostJournal + kMostOwn) / (kMostTables - 1) * kMostTables + kMostTables;
}

std::optional<std::uint64_t> Ext4Superblock::used() const {
  if (!overhead) return std::nullopt;
  return blocks - std::min(blocks, *overhead + own + free);
}

Result<Ext4Superblock> read_ext4_superblock(BorrowedFd image) {
  std::array<char, 1024> bytes;
  ssize_t count = ::pread(image.get(), bytes.data(), bytes.size(), kSuperblockAt);
  if (count < 0) return fail_errno("read superblock");
  Fields fields(bytes);
  bool ours = count == static_cast<ssize_t>(bytes.size()) && fields.half(0x38) == kMagic &&
              fields.word(0x18) == 2;  // log2 of the block size in KiB
  if (!ours) return fail(Code::kDataLoss, "no ext4 with blocks of 4 KiB");
  Ext4Superblock superblock;
  superblock.blocks = fields.both(0x4, 0x150);
  superblock.free = fields.both(0xc, 0x158);
  if (auto overhead = fields.word(0x248); overhead != 0) superblock.overhead = overhead;
  superblock.own = (fields.word(0x5c) & kCompatResizeInode) != 0 ? 2 : 1;
  superblock.needs_recovery = (fields.word(0x60) & kIncompatRecover) != 0;
  superblock.has_errors = (fields.half(0x3a) & kErrorState) != 0;
  if (superblock.blocks < superblock.overhead.value_or(0) + superblock.own)
    return fail(Code::kDataLoss, "superblock of ext4 is damaged");
  return superblock;
}

Result<BlockCounts> count_blocks(BorrowedFd root) {
  struct statfs status = {};
  if (::fstatfs(root.get(), &status) != 0) return fail_errno("statfs");
  return BlockCounts{status.f_blocks, status.f_bfree};
}

Status hold_back_blocks(const std::string& device, std::uint64_t blocks) {
  auto path = fmt::format("/sys/fs/ext4/{}/reserved_clusters",
                          std::string_view(device).substr(device.rfind('/') + 1));
  ASSIGN_OR_RETURN(auto file, open_file(path, O_WRONLY));
  auto text = std::to_string(blocks);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno("write {} to \"{}\"", text, path);
  return {};
}

Status resize_mounted_ext4(BorrowedFd root, std::uint64_t blocks) {
  ASSIGN_OR_RETURN(auto directory, open_file_at(root, ".", O_RDONLY | O_DIRECTORY));
  if (::ioctl(directory.get(), kResizeFs, &blocks) != 0)
    return fail_errno("grow mounted ext4 to {} blocks", blocks);
  return {};
}

bool has_capability(unsigned number) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[number / 32].effective >> (number % 32) & 1) != 0;
}

}  // namespace holdfast
