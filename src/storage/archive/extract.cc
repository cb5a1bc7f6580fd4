#include "storage/archive/extract.h"

#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/sha256.h"
#include "storage/archive/byte_queue.h"
#include "storage/archive/inflater.h"
#include "storage/archive/tar_handle.h"
#include "storage/archive/tree_writer.h"

namespace holdfast::archive {
namespace {

constexpr std::size_t kBlock = 256 << 10;
constexpr std::size_t kBlocks = 8;

// Inflates and hashes on a thread of its own, so that making files doesn't wait for it.
class InflaterThread {
 public:
  InflaterThread(Inflater& inflater, bool hash) : queue_(kBlocks) {
    thread_ = std::thread([this, &inflater, hash] { run(inflater, hash); });
  }
  ~InflaterThread() {
    queue_.abandon();
    if (thread_.joinable()) thread_.join();
  }

  Result<std::size_t> read(char* buffer, std::size_t size) {
    if (used_ == block_.size()) {
      auto next = queue_.pop(std::move(block_));
      block_.clear();
      used_ = 0;
      if (!next) return tl::unexpected(std::move(next).error());
      block_ = *std::move(next);
      if (block_.empty()) return std::size_t{0};
    }
    std::size_t count = std::min(size, block_.size() - used_);
    std::copy_n(block_.data() + used_, count, buffer);
    used_ += count;
    return count;
  }

  // What follows the archive's end still counts for the digest. Empty without hash.
  Result<std::string> finish() {
    while (true) {
      ASSIGN_OR_RETURN(auto block, queue_.pop(std::move(block_)));
      block_ = std::move(block);
      if (block_.empty()) break;
    }
    thread_.join();
    return digest_;
  }

 private:
  void run(Inflater& inflater, bool hash) {
    Sha256 sum;
    while (true) {
      ByteQueue::Block block = queue_.recycled();
      block.resize(kBlock);
      auto count = fill(inflater, block);
      if (!count) return queue_.end(tl::unexpected(std::move(count).error()));
      if (*count == 0) break;
      block.resize(*count);
      if (hash) sum.update({block.data(), block.size()});
      if (!queue_.push(std::move(block))) return;
    }
    if (hash) digest_ = "sha256:" + sum.finish();
    queue_.end({});
  }

  // Small reads are gathered: a block costs two wake-ups.
  static Result<std::size_t> fill(Inflater& inflater, ByteQueue::Block& block) {
    std::size_t filled = 0;
    while (filled < block.size()) {
      ASSIGN_OR_RETURN(auto count, inflater.read(block.data() + filled, block.size() - filled));
      if (count == 0) break;
      filled += count;
    }
    return filled;
  }

  ByteQueue queue_;
  std::thread thread_;
  std::string digest_;
  ByteQueue::Block block_;
  std::size_t used_ = 0;
};

Member::Type type_of(struct ::archive_entry* entry) {
  if (::archive_entry_hardlink(entry)) return Member::Type::kHardLink;
  switch (::archive_entry_filetype(entry)) {
    case AE_IFDIR:
      return Member::Type::kDirectory;
    case AE_IFLNK:
      return Member::Type::kSymlink;
    case AE_IFIFO:
      return Member::Type::kFifo;
    case AE_IFCHR:
      return Member::Type::kCharacter;
    case AE_IFBLK:
      return Member::Type::kBlock;
    default:
      return Member::Type::kRegular;
  }
}

std::string text_or_empty(const char* text) { return text ? text : ""; }

void read_entry_xattrs(struct ::archive_entry* entry, Member& member) {
  ::archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (::archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
    member.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
}

Result<Member> to_member(struct ::archive_entry* entry) {
  Member member;
  const char* name = ::archive_entry_pathname(entry);
  if (!name) return fail(Code::kInvalidArgument, "archive/tar: a member's name is not valid");
  member.name = name;
  member.type = type_of(entry);
  if (member.type == Member::Type::kSymlink)
    member.link = text_or_empty(::archive_entry_symlink(entry));
  if (member.type == Member::Type::kHardLink)
    member.link = text_or_empty(::archive_entry_hardlink(entry));
  member.mode = ::archive_entry_perm(entry);
  la_int64_t uid = ::archive_entry_uid(entry);
  la_int64_t gid = ::archive_entry_gid(entry);
  // The last id means "leave as it is" to chown(2).
  if (uid < 0 || uid >= 0xffffffffLL || gid < 0 || gid >= 0xffffffffLL) {
    return fail(Code::kInvalidArgument, "archive member \"{}\": owner {}:{} is out of range", name,
                uid, gid);
  }
  member.owner = {static_cast<uid_t>(uid), static_cast<gid_t>(gid)};
  if (member.type == Member::Type::kCharacter || member.type == Member::Type::kBlock)
    member.device = ::archive_entry_rdev(entry);
  if (member.type == Member::Type::kRegular)
    member.size = static_cast<std::uint64_t>(::archive_entry_size(entry));
  member.mtime = {::archive_entry_mtime(entry), ::archive_entry_mtime_nsec(entry)};
  read_entry_xattrs(entry, member);
  return member;
}

Status write_block(BorrowedFd file, const char* bytes, std::size_t size, la_int64_t offset) {
  while (size > 0) {
    ssize_t count = ::pwrite(file.get(), bytes, size, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write");
    bytes += count;
    offset += count;
    size -= static_cast<std::size_t>(count);
  }
  return {};
}

// The loop over the members of one archive.
class Extraction {
 public:
  Extraction(const Source& tar, TreeWriter& tree, const ExtractOptions& options)
      : pull_{tar, std::vector<char>(kBlock), {}}, tree_(tree), options_(options) {}

  Status run() {
    ThreadLocale locale("C");
    handle_.reset(::archive_read_new());
    ::archive_read_support_format_tar(handle_.get());
    ::archive_read_support_format_empty(handle_.get());
    if (::archive_read_open(handle_.get(), &pull_, nullptr, &Pull::read, nullptr) != ARCHIVE_OK)
      return archive_failed(handle_.get(), pull_.error, kDoing);
    struct ::archive_entry* entry = nullptr;
    while (true) {
      int result = ::archive_read_next_header(handle_.get(), &entry);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        return archive_failed(handle_.get(), pull_.error, kDoing);
      RETURN_IF_ERROR(take(entry));
    }
    return tree_.finish();
  }

 private:
  static constexpr std::string_view kDoing = "archive/tar: invalid tar header";

  Status take(struct ::archive_entry* entry) {
    if (++tree_.result().entries > options_.limits.entries) {
      return fail(Code::kInvalidArgument, "archive has more than {} entries",
                  options_.limits.entries);
    }
    ASSIGN_OR_RETURN(auto member, to_member(entry));
    RETURN_IF_ERROR(map_owner(member));
    if (member.size > options_.limits.bytes) {
      return fail(Code::kInvalidArgument,
                  "archive member \"{}\" of {} bytes is larger than the "
                  "limit of {} bytes",
                  member.name, member.size, options_.limits.bytes);
    }
    return tree_.add(member, [&](BorrowedFd file) { return write_content(file, member.size); });
  }

  Status map_owner(Member& member) const {
    if (options_.ids.uids.empty()) return {};
    Owner mapped{map_id(options_.ids.uids, member.owner.uid),
                 map_id(options_.ids.gids, member.owner.gid)};
    if (mapped.uid == kNoId || mapped.gid == kNoId)
      return fail(Code::kInvalidArgument,
                  "archive member \"{}\": owner {}:{} is none of the container's user namespace",
                  member.name, member.owner.uid, member.owner.gid);
    member.owner = mapped;
    return {};
  }

  Status write_content(BorrowedFd file, std::uint64_t size) {
    const void* bytes = nullptr;
    std::size_t count = 0;
    la_int64_t offset = 0;
    la_int64_t end = 0;
    while (size > 0) {
      int result = ::archive_read_data_block(handle_.get(), &bytes, &count, &offset);
      if (result == ARCHIVE_EOF) break;
      if (result != ARCHIVE_OK) return archive_failed(handle_.get(), pull_.error, "unexpected EOF");
      RETURN_IF_ERROR(write_block(file, static_cast<const char*>(bytes), count, offset));
      end = offset + static_cast<la_int64_t>(count);
    }
    // A hole at the end has no block.
    auto wanted = static_cast<la_int64_t>(size);
    if (end < wanted && ::ftruncate(file.get(), wanted) != 0) return fail_errno("truncate");
    return {};
  }

  Pull pull_;
  TreeWriter& tree_;
  const ExtractOptions& options_;
  ReadHandle handle_;
};

}  // namespace

Result<Extracted> extract(const Source& source, BorrowedFd root, const std::string& path,
                          const ExtractOptions& options) {
  Inflater inflater(source, options.limits);
  inflater.on_progress(options.progress);
  RETURN_IF_ERROR(inflater.start());
  TreeWriter tree(root, path, options);
  if (!inflater.compressed() && !options.digest) {
    Source plain = [&](char* buffer, std::size_t size) { return inflater.read(buffer, size); };
    RETURN_IF_ERROR(Extraction(plain, tree, options).run());
    return std::move(tree.result());
  }
  InflaterThread thread(inflater, options.digest);
  Source inflated = [&](char* buffer, std::size_t size) { return thread.read(buffer, size); };
  RETURN_IF_ERROR(Extraction(inflated, tree, options).run());
  if (options.digest) {
    ASSIGN_OR_RETURN(tree.result().diff_id, thread.finish());
  }
  return std::move(tree.result());
}

}  // namespace holdfast::archive
