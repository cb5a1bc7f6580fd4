#include <algorithm>
#include <cstring>
#include <memory>

#include "base/sha256.h"
#include "storage/archive/extract.h"
#include "storage/archive/inflater.h"
#include "storage/archive/tar_handle.h"

namespace holdfast::archive {
namespace {

constexpr std::size_t kBlock = 256 << 10;

enum class Compression { kNone, kGzip, kBzip2, kXz, kZstd };

// By the magic numbers of RFC 1952, bzip2, xz and RFC 8878 (skippable frames included).
Compression detect(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\x1f\x8b\x08"sv)) return Compression::kGzip;
  if (head.starts_with("BZh"sv)) return Compression::kBzip2;
  if (head.starts_with("\xfd"
                       "7zXZ\0"sv))
    return Compression::kXz;
  if (head.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::kZstd;
  if (head.size() >= 4 && (head[0] & '\xf0') == '\x50' && head.substr(1, 3) == "\x2a\x4d\x18"sv)
    return Compression::kZstd;
  return Compression::kNone;
}

// ARCHIVE_OK only when the library inflates by itself; with ARCHIVE_WARN it would run a program.
bool support(struct ::archive* handle, Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return true;
    case Compression::kGzip:
      return ::archive_read_support_filter_gzip(handle) == ARCHIVE_OK;
    case Compression::kBzip2:
      return ::archive_read_support_filter_bzip2(handle) == ARCHIVE_OK;
    case Compression::kXz:
      return ::archive_read_support_filter_xz(handle) == ARCHIVE_OK;
    case Compression::kZstd:
      return ::archive_read_support_filter_zstd(handle) == ARCHIVE_OK;
  }
  return false;
}

// Fills `head` with up to `size` bytes of the source, which may come in drips.
Result<std::string> peek(const Source& source, std::size_t size) {
  std::string head(size, '\0');
  std::size_t filled = 0;
  while (filled < size) {
    ASSIGN_OR_RETURN(auto count, source(head.data() + filled, size - filled));
    if (count == 0) break;
    filled += count;
  }
  head.resize(filled);
  return head;
}

Status too_large(const Limits& limits) {
  return fail(Code::kInvalidArgument, "archive is larger than the limit of {} bytes", limits.bytes);
}

}  // namespace

struct Inflater::Impl {
  Impl(const Source& from, const Limits& bounds) : source(from), limits(bounds) {}

  Source source;
  Limits limits;
  Source counted;  // `source`, with what was peeked first, counting
  std::string head;
  std::size_t head_used = 0;
  std::uint64_t taken = 0;
  std::uint64_t given = 0;
  std::function<void(std::uint64_t)> progress;
  Compression compression = Compression::kNone;
  std::unique_ptr<Pull> pull;
  ReadHandle handle;
  const char* block = nullptr;  // libarchive's, valid until it is asked for the next
  std::size_t block_left = 0;
  std::int64_t block_end = 0;

  Result<std::size_t> take(char* buffer, std::size_t size) {
    if (head_used < head.size()) {
      std::size_t count = std::min(size, head.size() - head_used);
      std::memcpy(buffer, head.data() + head_used, count);
      head_used += count;
      return count;
    }
    ASSIGN_OR_RETURN(auto count, source(buffer, size));
    taken += count;
    if (progress) progress(taken);
    return count;
  }

  Status start() {
    ASSIGN_OR_RETURN(head, peek(source, 6));
    taken = head.size();
    counted = [this](char* buffer, std::size_t size) { return take(buffer, size); };
    compression = detect(head);
    if (compression == Compression::kNone) return {};
    handle.reset(::archive_read_new());
    pull = std::make_unique<Pull>(Pull{counted, std::vector<char>(kBlock), {}});
    if (!support(handle.get(), compression) ||
        ::archive_read_support_format_raw(handle.get()) != ARCHIVE_OK)
      return fail(Code::kNotImplemented, "this compression is not built into libarchive");
    ::archive_read_support_format_empty(handle.get());
    struct ::archive_entry* entry = nullptr;
    if (::archive_read_open(handle.get(), pull.get(), nullptr, &Pull::read, nullptr) != ARCHIVE_OK)
      return archive_failed(handle.get(), pull->error, "decompress");
    int result = ::archive_read_next_header(handle.get(), &entry);
    if (result == ARCHIVE_EOF) return {};
    if (result != ARCHIVE_OK) return archive_failed(handle.get(), pull->error, "decompress");
    return {};
  }

  // One block of what libarchive inflated; false at the end.
  Result<bool> next_block() {
    const void* bytes = nullptr;
    la_int64_t offset = 0;
    std::size_t size = 0;
    while (size == 0) {
      int result = ::archive_read_data_block(handle.get(), &bytes, &size, &offset);
      if (result == ARCHIVE_EOF) return false;
      if (result != ARCHIVE_OK) return archive_failed(handle.get(), pull->error, "decompress");
    }
    block = static_cast<const char*>(bytes);
    block_left = size;
    return true;
  }

  Result<std::size_t> read_raw(char* buffer, std::size_t size) {
    if (compression == Compression::kNone) return counted(buffer, size);
    if (block_left == 0) {
      ASSIGN_OR_RETURN(bool more, next_block());
      if (!more) return std::size_t{0};
    }
    std::size_t count = std::min(size, block_left);
    std::memcpy(buffer, block, count);
    block += count;
    block_left -= count;
    return count;
  }

  Status check_limits() const {
    if (given > limits.bytes) return too_large(limits);
    if (compression != Compression::kNone && given > limits.ratio_from &&
        given / std::max<std::uint64_t>(taken, 1) > limits.ratio) {
      return fail(Code::kInvalidArgument,
                  "archive inflates to more than {} times its size after {} bytes", limits.ratio,
                  given);
    }
    return {};
  }
};

Inflater::Inflater(const Source& source, const Limits& limits)
    : impl_(std::make_unique<Impl>(source, limits)) {}
Inflater::~Inflater() = default;

void Inflater::on_progress(std::function<void(std::uint64_t)> progress) {
  impl_->progress = std::move(progress);
}

Status Inflater::start() { return impl_->start(); }
bool Inflater::compressed() const { return impl_->compression != Compression::kNone; }

Result<std::size_t> Inflater::read(char* buffer, std::size_t size) {
  ASSIGN_OR_RETURN(auto count, impl_->read_raw(buffer, size));
  impl_->given += count;
  RETURN_IF_ERROR(impl_->check_limits());
  return count;
}

Result<Inflated> inflate(const Source& source, const Sink& sink, const Limits& limits) {
  Inflater inflater(source, limits);
  RETURN_IF_ERROR(inflater.start());
  std::vector<char> buffer(kBlock);
  Sha256 hash;
  Inflated result;
  while (true) {
    ASSIGN_OR_RETURN(auto count, inflater.read(buffer.data(), buffer.size()));
    if (count == 0) break;
    std::string_view bytes(buffer.data(), count);
    hash.update(bytes);
    result.bytes += count;
    if (sink) RETURN_IF_ERROR(sink(bytes));
  }
  result.diff_id = "sha256:" + hash.finish();
  return result;
}

}  // namespace holdfast::archive
