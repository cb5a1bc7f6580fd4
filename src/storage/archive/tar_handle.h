#pragma once

// What the .cc files of this folder share about libarchive; not for inclusion elsewhere.
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <memory>
#include <string>

#include "storage/archive/stream.h"

namespace holdfast::archive {

struct CloseReader {
  void operator()(struct ::archive* handle) const { ::archive_read_free(handle); }
};
struct CloseWriter {
  void operator()(struct ::archive* handle) const { ::archive_write_free(handle); }
};
struct FreeEntry {
  void operator()(struct ::archive_entry* entry) const { ::archive_entry_free(entry); }
};
using ReadHandle = std::unique_ptr<struct ::archive, CloseReader>;
using WriteHandle = std::unique_ptr<struct ::archive, CloseWriter>;
using Entry = std::unique_ptr<struct ::archive_entry, FreeEntry>;

// libarchive converts names by the locale of this thread, whatever the daemon was started with. For
// reading it is "C": a name from a pax header that isn't ASCII then cannot be converted, and
// libarchive falls back to its bytes as they are; in a UTF-8 locale it would compose them (NFC),
// and two files become one. For writing it is UTF-8, which pax headers are in.
class ThreadLocale {
 public:
  explicit ThreadLocale(const char* name) : locale_(::newlocale(LC_CTYPE_MASK, name, nullptr)) {
    if (locale_) previous_ = ::uselocale(locale_);
  }
  ~ThreadLocale() {
    if (!locale_) return;
    ::uselocale(previous_);
    ::freelocale(locale_);
  }
  ThreadLocale(const ThreadLocale&) = delete;
  ThreadLocale& operator=(const ThreadLocale&) = delete;

 private:
  locale_t locale_;
  locale_t previous_ = nullptr;
};

// What libarchive pulls its bytes from: a Source, whose error is kept aside because libarchive
// can't carry it.
struct Pull {
  const Source& source;
  std::vector<char> buffer;
  Status error;

  static la_ssize_t read(struct ::archive*, void* self, const void** bytes) {
    auto* pull = static_cast<Pull*>(self);
    auto count = pull->source(pull->buffer.data(), pull->buffer.size());
    if (!count) {
      pull->error = tl::unexpected(std::move(count).error());
      return -1;
    }
    *bytes = pull->buffer.data();
    return static_cast<la_ssize_t>(*count);
  }
};

// "archive/tar: …": the source's own error where there is one.
inline tl::unexpected<Error> archive_failed(struct ::archive* handle, const Status& source_error,
                                            std::string_view doing) {
  if (!source_error) return tl::unexpected(source_error.error());
  const char* text = ::archive_error_string(handle);
  return fail(Code::kInvalidArgument, "{}: {}", doing, text ? text : "unknown error");
}

}  // namespace holdfast::archive
