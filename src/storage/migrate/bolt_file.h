#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"

namespace holdfast {

// What a bbolt database file (version 2 of its format) holds: Docker and Podman keep their records
// in such. Read only, from a copy in memory: whoever has the file open may go on writing, and the
// file may be anybody's, so nothing in it is believed before it was checked. Movable; immutable
// once made, so that threads may share it.
//
//   page     id u64, flags u16, count u16, overflow u32; then what flags say; 1 + overflow pages
//            of the file
//   meta     pages 0 and 1, written in turn: magic, version, page size, root bucket, free list,
//   end,
//            transaction, FNV-64a of all that
//   branch   count × (pos u32, key size u32, page u64); keys at pos from the entry's own start
//   leaf     count × (flags u32, pos u32, key size u32, value size u32); flags 1: a bucket
//   bucket   the value of its entry: root page u64, sequence u64; root 0: a leaf page follows
//
// All little-endian here: bbolt writes the machine's own order.
class BoltFile {
 public:
  // Of the file's bytes; `path` is for errors. kDataLoss where no meta page is valid.
  static Result<BoltFile> parse(std::string bytes, std::string path);

  // Reads a file that others may be writing: again, until two looks at it agree.
  // kResourceExhausted beyond `limit` bytes.
  static Result<BoltFile> read(BorrowedFd file, std::string path, std::size_t limit = 64 << 20);

  struct Entry {
    std::string_view key;    // both valid as long as the file
    std::string_view value;  // of a bucket: what find its entries
    bool bucket = false;
  };
  // What lies in the file itself, or in a bucket of it, in the order of keys. kDataLoss for pages
  // that are out of bounds, of the wrong kind, met twice, or whose entries are.
  Result<std::vector<Entry>> entries() const;
  Result<std::vector<Entry>> entries(const Entry& bucket) const;

  std::size_t size() const { return bytes_.size(); }

  // The entry of bucket `name` in the file itself; kNotFound.
  Result<Entry> bucket(std::string_view name) const;

 private:
  struct Page {
    std::string_view bytes;  // header and all, overflow pages too
    std::uint16_t flags = 0;
    std::size_t count = 0;
  };
  struct Walk;

  BoltFile(std::string bytes, std::string path)
      : bytes_(std::move(bytes)), path_(std::move(path)) {}

  // Takes the newer of the valid meta pages.
  bool choose_meta();
  bool try_meta(std::size_t at);
  template <typename... Args>
  tl::unexpected<Error> damaged(fmt::format_string<Args...> format, Args&&... args) const;

  Result<Page> page_at(std::uint64_t id) const;
  Result<Page> page_in(std::string_view bytes) const;
  Result<std::vector<Entry>> walk_from(std::uint64_t root) const;
  Status walk(Walk& walk, std::uint64_t id, int depth) const;
  Status read_leaf(const Page& page, std::vector<Entry>& entries) const;

  std::string bytes_;
  std::string path_;
  std::size_t page_size_ = 0;
  std::uint64_t root_ = 0;
  std::uint64_t transaction_ = 0;
};

}  // namespace holdfast
