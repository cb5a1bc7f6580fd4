#pragma once

// A libarchive writer onto a Sink; not for inclusion outside this folder.
#include "storage/archive/tar_handle.h"

namespace holdfast::archive {

// One pax archive being written. One owner; not thread-safe. `sink` is copied.
class TarOutput {
 public:
  explicit TarOutput(Sink sink);
  ~TarOutput();
  TarOutput(const TarOutput&) = delete;
  TarOutput& operator=(const TarOutput&) = delete;

  Status header(struct ::archive_entry* entry);
  Status data(std::string_view bytes);
  Status finish();  // the end of the archive; what follows is undefined

 private:
  static la_ssize_t write(struct ::archive*, void* self, const void* bytes, std::size_t size);
  Status check(la_ssize_t result, std::string_view doing);

  Sink sink_;
  Status error_;
  WriteHandle handle_;
};

}  // namespace holdfast::archive
