#include "storage/driver/local/image_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/process.h"
#include "os/xattr.h"
#include "storage/copy/file_copy.h"
#include "storage/driver/local/programs.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kMiB = (1 << 20) / kExt4BlockSize;
constexpr std::uint64_t kGiB = 1024 * kMiB;

constexpr std::uint64_t kHeadroom = 16;
constexpr std::uint64_t kLeastHeadroom = 4 * kGiB;
constexpr std::uint64_t kMostHeadroom = 2048 * kGiB;  // beyond that the tables begin to cost
constexpr std::uint64_t kLeastCapacity = 64 * kMiB;

constexpr std::chrono::minutes kProgramDeadline(10);
constexpr const char* kTouched = "trusted.holdfast.touched";
constexpr int kImageNumber = 3;  // the image's descriptor in a program

std::string journal_size(std::uint64_t capacity) {
  return capacity < kGiB ? "4" : capacity < 8 * kGiB ? "16" : "64";
}

// The output of one of e2fsprogs' programs, run on the image with its path last, or before `last`.
Result<CommandOutput> run_on(BorrowedFd image, const std::string& program,
                             std::vector<std::string> arguments, const std::string& last = {}) {
  auto path = system_program(program);
  if (!path)
    return fail(Code::kUnavailable,
                "a size limit on this data root needs {}, of the package e2fsprogs", program);
  ProcessOptions options;
  options.argv = {std::move(*path)};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.argv.push_back(fmt::format("/proc/self/fd/{}", kImageNumber));
  if (!last.empty()) options.argv.push_back(last);
  options.extra_fds = {{image.get(), kImageNumber}};
  // What the host's configuration adds to a file system is not what we count on.
  options.environment = {"MKE2FS_CONFIG=/dev/null", "E2FSCK_CONFIG=/dev/null", "LC_ALL=C"};
  options.new_session = true;
  ASSIGN_OR_RETURN(auto output, run_command(std::move(options), {}, kProgramDeadline));
  while (output.err.ends_with('\n')) output.err.pop_back();
  return output;
}

tl::unexpected<Error> program_failure(const std::string& program, const CommandOutput& output) {
  bool full = (output.err + output.out).find("No space left") != std::string::npos;
  return fail(full ? Code::kResourceExhausted : Code::kInternal, "{}: {}", program,
              output.err.empty() ? fmt::format("exit code {}", output.status.code) : output.err);
}

Status set_length(BorrowedFd image, std::uint64_t blocks) {
  if (::ftruncate(image.get(), static_cast<off_t>(blocks * kExt4BlockSize)) == 0) return {};
  if (errno == EFBIG || errno == EINVAL)
    return fail(Code::kInvalidArgument,
                "files of the data root's file system can't be as long as a volume of that size "
                "needs");
  return fail_errno("set length of image");
}

// As ext4 has been made for years, spelled out. No lazy work in the kernel later: the file is all
// zeros already.
Status format(BorrowedFd image, std::uint64_t capacity) {
  bool huge = capacity > 4096 * kGiB;
  ASSIGN_OR_RETURN(
      auto output,
      run_on(image, "mke2fs",
             {"-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-I", "256", "-i",
              huge ? "65536" : "8192", "-J", "size=" + journal_size(capacity), "-O",
              "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,"
              "sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
              "-E", "nodiscard,lazy_itable_init=0,assume_storage_prezeroed=1,root_owner=0:0"}));
  if (!output.status.success()) return program_failure("mke2fs", output);
  return {};
}

}  // namespace

Status mark_touched(BorrowedFd image, bool touched) {
  auto marked =
      touched ? write_xattr(image, {}, {kTouched, "1"}) : remove_xattr(image, {}, kTouched);
  if (!marked && (marked.error().sys_errno == EOPNOTSUPP || marked.error().sys_errno == EPERM))
    return {};
  return marked;
}

Result<bool> is_marked_touched(BorrowedFd image) {
  ASSIGN_OR_RETURN(auto mark, read_xattr(image, {}, kTouched));
  return mark.has_value();
}

std::uint64_t planned_capacity(std::uint64_t limit, bool grows_mounted) {
  if (grows_mounted) return std::max(limit, kLeastCapacity);
  std::uint64_t most = std::max(limit, kMostHeadroom);
  if (limit > most / kHeadroom) return most;
  return std::max(limit * kHeadroom, kLeastHeadroom);
}

std::uint64_t length_for(const Ext4Superblock& superblock, std::uint64_t capacity) {
  if (superblock.capacity() >= capacity) return superblock.blocks;
  std::uint64_t missing = capacity - superblock.capacity();
  // More room takes more tables, in the same proportion, and a group's worth where one begins.
  std::uint64_t taken = superblock.blocks - superblock.capacity();
  return superblock.blocks + missing + missing * taken / superblock.capacity() + 16 * kMiB;
}

Result<UniqueFd> make_image(BorrowedFd directory, const std::string& name, std::uint64_t capacity) {
  ASSIGN_OR_RETURN(auto image,
                   open_file_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  RETURN_IF_ERROR(mark_touched(image, true));
  std::uint64_t blocks = capacity + capacity / 64;
  // What the tables take is known when they are there.
  for (int attempt = 0; attempt < 8; ++attempt) {
    RETURN_IF_ERROR(set_length(image, 0));
    RETURN_IF_ERROR(set_length(image, blocks));
    RETURN_IF_ERROR(format(image, capacity));
    ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(image));
    if (superblock.overhead && superblock.capacity() >= capacity) return image;
    blocks = length_for(superblock, capacity);
  }
  return fail(Code::kInternal, "no image comes out large enough");
}

Status check_image(BorrowedFd image) {
  RETURN_IF_ERROR(mark_touched(image, true));
  ASSIGN_OR_RETURN(auto output, run_on(image, "e2fsck", {"-f", "-p"}));
  constexpr int kUncorrected = 4;
  if (output.status.signal == 0 && output.status.code < kUncorrected) return {};
  while (output.out.ends_with('\n')) output.out.pop_back();
  return fail(Code::kDataLoss, "the file system is damaged; e2fsck says: {}",
              output.out.empty() ? output.err : output.out);
}

Result<UniqueFd> grown_copy(BorrowedFd image, BorrowedFd directory, const std::string& name,
                            std::uint64_t capacity) {
  ASSIGN_OR_RETURN(auto copy,
                   open_file_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  struct stat status = {};
  if (::fstat(image.get(), &status) != 0) return fail_errno("stat image");
  RETURN_IF_ERROR(copy_file_content(image, copy, status).map([](std::uint64_t) {}));
  // resize2fs takes none that wasn't checked just before.
  RETURN_IF_ERROR(check_image(copy));
  ASSIGN_OR_RETURN(auto superblock, read_ext4_superblock(copy));
  // What the tables will take resize2fs doesn't write down: it must suffice by the worst guess.
  std::uint64_t blocks = std::max(superblock.blocks, ext4_blocks_for(capacity));
  RETURN_IF_ERROR(set_length(copy, blocks));
  ASSIGN_OR_RETURN(auto output, run_on(copy, "resize2fs", {"-f"}, std::to_string(blocks)));
  if (!output.status.success()) return program_failure("resize2fs", output);
  if (::fsync(copy.get()) != 0) return fail_errno("sync image");
  return copy;
}

}  // namespace holdfast
