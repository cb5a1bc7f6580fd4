#include "storage/archive/tar_output.h"

namespace holdfast::archive {

namespace {
constexpr int kBlock = 256 << 10;
}

TarOutput::TarOutput(Sink sink) : sink_(std::move(sink)), handle_(::archive_write_new()) {
  ::archive_write_set_format_pax_restricted(handle_.get());
  // Without it every xattr is written a second time in libarchive's own form.
  ::archive_write_set_format_option(handle_.get(), "pax", "xattrheader", "SCHILY");
  ::archive_write_set_bytes_per_block(handle_.get(), kBlock);
  ::archive_write_set_bytes_in_last_block(handle_.get(), 1);
  if (::archive_write_open(handle_.get(), this, nullptr, &TarOutput::write, nullptr) != ARCHIVE_OK)
    error_ = fail(Code::kInternal, "archive: {}", ::archive_error_string(handle_.get()));
}

// Without finish() an archive stays cut short: freeing a handle that hasn't failed would write its
// end.
TarOutput::~TarOutput() { ::archive_write_fail(handle_.get()); }

la_ssize_t TarOutput::write(struct ::archive*, void* self, const void* bytes, std::size_t size) {
  auto* output = static_cast<TarOutput*>(self);
  auto written =
      output->error_ ? output->sink_({static_cast<const char*>(bytes), size}) : output->error_;
  if (written) return static_cast<la_ssize_t>(size);
  output->error_ = std::move(written);
  return -1;
}

Status TarOutput::check(la_ssize_t result, std::string_view doing) {
  if (!error_) return error_;
  if (result >= ARCHIVE_WARN) return {};
  const char* text = ::archive_error_string(handle_.get());
  error_ = fail(Code::kInternal, "archive: {}: {}", doing, text ? text : "unknown error");
  return error_;
}

Status TarOutput::header(struct ::archive_entry* entry) {
  ThreadLocale locale("C.UTF-8");
  if (!error_) return error_;
  return check(::archive_write_header(handle_.get(), entry), "write header");
}

Status TarOutput::data(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!error_) return error_;
    la_ssize_t count = ::archive_write_data(handle_.get(), bytes.data(), bytes.size());
    RETURN_IF_ERROR(check(count, "write data"));
    if (count <= 0) return {};  // past the size the header gave
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Status TarOutput::finish() {
  if (!error_) return error_;
  return check(::archive_write_close(handle_.get()), "close");
}

}  // namespace holdfast::archive
