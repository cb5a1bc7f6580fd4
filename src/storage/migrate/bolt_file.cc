#include "storage/migrate/bolt_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kMagic = 0xED0CDAED;
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kElement = 16;  // of a branch and of a leaf
constexpr std::size_t kBucketHeader = 16;
constexpr std::size_t kMetaSize = 64;
constexpr std::size_t kChecksumAt = 56;  // in a meta page's content
constexpr std::size_t kSmallestPage = 512;
constexpr std::size_t kLargestPage = 1 << 16;
constexpr int kDeepest = 32;

constexpr std::uint16_t kBranchPage = 0x01;
constexpr std::uint16_t kLeafPage = 0x02;
constexpr std::uint16_t kMetaPage = 0x04;
constexpr std::uint32_t kBucketLeaf = 0x01;

// The number at `at`, which the caller knows to be in bounds.
template <typename Number>
Number number_at(std::string_view bytes, std::size_t at) {
  CHECK(at + sizeof(Number) <= bytes.size());
  Number number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

std::uint64_t fnv64a(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

// Key and value of an element lie behind each other, somewhere behind the elements.
struct Span {
  std::size_t key_at, key_size, value_size;
  bool within(std::size_t page, std::size_t elements_end) const {
    return key_at >= elements_end && key_at <= page && key_size <= page - key_at &&
           value_size <= page - key_at - key_size;
  }
};

}  // namespace

// A way through the tree of one bucket. Each page is met once at most, so that no file makes it
// longer than the file is.
struct BoltFile::Walk {
  std::vector<Entry> entries;
  std::vector<bool> met;
};

template <typename... Args>
tl::unexpected<Error> BoltFile::damaged(fmt::format_string<Args...> format, Args&&... args) const {
  return fail(Code::kDataLoss, "database \"{}\" is damaged: {}", path_,
              fmt::format(format, std::forward<Args>(args)...));
}

bool BoltFile::try_meta(std::size_t at) {
  if (at + kPageHeader + kMetaSize > bytes_.size()) return false;
  std::string_view page = std::string_view(bytes_).substr(at, kPageHeader + kMetaSize);
  std::string_view meta = page.substr(kPageHeader);
  auto size = number_at<std::uint32_t>(meta, 8);
  bool valid = (number_at<std::uint16_t>(page, 8) & kMetaPage) != 0 &&
               number_at<std::uint32_t>(meta, 0) == kMagic &&
               number_at<std::uint32_t>(meta, 4) == kVersion && size >= kSmallestPage &&
               size <= kLargestPage && (size & (size - 1)) == 0 && (at == 0 || at == size) &&
               number_at<std::uint64_t>(meta, kChecksumAt) == fnv64a(meta.substr(0, kChecksumAt));
  if (!valid) return false;
  auto transaction = number_at<std::uint64_t>(meta, 48);
  if (page_size_ != 0 && transaction <= transaction_) return true;
  page_size_ = size;
  root_ = number_at<std::uint64_t>(meta, 16);
  transaction_ = transaction;
  return true;
}

bool BoltFile::choose_meta() {
  bool first = try_meta(0);
  // Where the first is not valid, the page size is not known either.
  bool second = false;
  for (std::size_t size = kSmallestPage; size <= kLargestPage && !second; size *= 2)
    second = try_meta(size);
  return first || second;
}

Result<BoltFile> BoltFile::parse(std::string bytes, std::string path) {
  BoltFile file(std::move(bytes), std::move(path));
  if (!file.choose_meta())
    return fail(Code::kDataLoss,
                "database \"{}\" is damaged, or none of bbolt's: neither of its meta pages is "
                "valid",
                file.path_);
  return file;
}

Result<BoltFile> BoltFile::read(BorrowedFd file, std::string path, std::size_t limit) {
  constexpr int kLooks = 5;
  auto look = [&]() -> Result<BoltFile> {
    if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("read \"{}\"", path);
    auto bytes = read_all(file, limit);
    if (!bytes) return tl::unexpected(std::move(bytes).error().wrap(path));
    return parse(std::move(*bytes), path);
  };
  ASSIGN_OR_RETURN(auto before, look());
  for (int i = 0; i < kLooks; ++i) {
    // Pages are never written over in the next transaction but one: a file that has not moved on
    // meanwhile was read whole.
    ASSIGN_OR_RETURN(auto after, look());
    if (after.transaction_ == before.transaction_) return after;
    before = std::move(after);
  }
  return fail(Code::kUnavailable, "database \"{}\" is being written to all the time", path);
}

Result<BoltFile::Page> BoltFile::page_in(std::string_view bytes) const {
  if (bytes.size() < kPageHeader) return damaged("a page is cut short");
  Page page{bytes, number_at<std::uint16_t>(bytes, 8), number_at<std::uint16_t>(bytes, 10)};
  if (page.count > (bytes.size() - kPageHeader) / kElement)
    return damaged("a page claims {} entries", page.count);
  return page;
}

Result<BoltFile::Page> BoltFile::page_at(std::uint64_t id) const {
  std::uint64_t pages = bytes_.size() / page_size_;
  if (id < 2 || id >= pages) return damaged("page {} of {}", id, pages);
  std::string_view rest = std::string_view(bytes_).substr(id * page_size_);
  if (number_at<std::uint64_t>(rest, 0) != id) return damaged("page {} says it is another", id);
  auto overflow = number_at<std::uint32_t>(rest, 12);
  if (overflow >= pages - id) return damaged("page {} is longer than the file", id);
  return page_in(rest.substr(0, (std::size_t{overflow} + 1) * page_size_));
}

Status BoltFile::read_leaf(const Page& page, std::vector<Entry>& entries) const {
  std::size_t elements_end = kPageHeader + page.count * kElement;
  std::size_t room = page.bytes.size() - elements_end;
  for (std::size_t i = 0; i < page.count; ++i) {
    std::size_t at = kPageHeader + i * kElement;
    Span span{at + number_at<std::uint32_t>(page.bytes, at + 4),
              number_at<std::uint32_t>(page.bytes, at + 8),
              number_at<std::uint32_t>(page.bytes, at + 12)};
    // Together they can't take more than there is: entries that share bytes would.
    if (!span.within(page.bytes.size(), elements_end) || span.key_size + span.value_size > room)
      return damaged("an entry lies outside of its page");
    room -= span.key_size + span.value_size;
    entries.push_back({page.bytes.substr(span.key_at, span.key_size),
                       page.bytes.substr(span.key_at + span.key_size, span.value_size),
                       (number_at<std::uint32_t>(page.bytes, at) & kBucketLeaf) != 0});
  }
  return {};
}

Status BoltFile::walk(Walk& walk, std::uint64_t id, int depth) const {
  if (depth > kDeepest) return damaged("its tree is deeper than {} pages", kDeepest);
  ASSIGN_OR_RETURN(auto page, page_at(id));
  auto first = static_cast<std::size_t>(id);
  for (std::size_t i = first; i < first + page.bytes.size() / page_size_; ++i) {
    if (walk.met[i]) return damaged("page {} is there twice", i);
    walk.met[i] = true;
  }
  if ((page.flags & kLeafPage) != 0) return read_leaf(page, walk.entries);
  if ((page.flags & kBranchPage) == 0) return damaged("page {} is neither branch nor leaf", id);
  for (std::size_t i = 0; i < page.count; ++i) {
    auto child = number_at<std::uint64_t>(page.bytes, kPageHeader + i * kElement + 8);
    RETURN_IF_ERROR(this->walk(walk, child, depth + 1));
  }
  return {};
}

Result<std::vector<BoltFile::Entry>> BoltFile::walk_from(std::uint64_t root) const {
  Walk all;
  all.met.resize(bytes_.size() / page_size_);
  RETURN_IF_ERROR(walk(all, root, 0));
  return std::move(all.entries);
}

Result<std::vector<BoltFile::Entry>> BoltFile::entries() const { return walk_from(root_); }

Result<std::vector<BoltFile::Entry>> BoltFile::entries(const Entry& bucket) const {
  if (!bucket.bucket || bucket.value.size() < kBucketHeader)
    return damaged("\"{}\" is no bucket", bucket.key);
  auto root = number_at<std::uint64_t>(bucket.value, 0);
  if (root != 0) return walk_from(root);
  ASSIGN_OR_RETURN(auto page, page_in(bucket.value.substr(kBucketHeader)));
  if ((page.flags & kLeafPage) == 0) return damaged("bucket \"{}\" has no leaf", bucket.key);
  std::vector<Entry> entries;
  RETURN_IF_ERROR(read_leaf(page, entries));
  return entries;
}

Result<BoltFile::Entry> BoltFile::bucket(std::string_view name) const {
  ASSIGN_OR_RETURN(auto all, entries());
  auto found = std::find_if(all.begin(), all.end(),
                            [&](const Entry& entry) { return entry.bucket && entry.key == name; });
  if (found == all.end())
    return fail(Code::kNotFound, "database \"{}\" has no bucket \"{}\"", path_, name);
  return *found;
}

}  // namespace holdfast
