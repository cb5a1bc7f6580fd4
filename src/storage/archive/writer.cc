#include <vector>

#include "storage/archive/create.h"
#include "storage/archive/tar_output.h"

namespace holdfast::archive {

struct Writer::Impl {
  explicit Impl(Sink sink) : output(std::move(sink)) {}
  TarOutput output;

  Status start(const std::string& name, unsigned type, unsigned mode, std::uint64_t size,
               std::int64_t mtime) {
    Entry entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), name.c_str());
    ::archive_entry_set_filetype(entry.get(), type);
    ::archive_entry_set_perm(entry.get(), static_cast<mode_t>(mode));
    ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    ::archive_entry_set_mtime(entry.get(), mtime, 0);
    return output.header(entry.get());
  }
};

Writer::Writer(Sink sink) : impl_(std::make_unique<Impl>(std::move(sink))) {}
Writer::Writer(Writer&&) noexcept = default;
Writer::~Writer() = default;

Status Writer::directory(const std::string& name, unsigned mode, std::int64_t mtime_seconds) {
  return impl_->start(name, AE_IFDIR, mode, 0, mtime_seconds);
}

Status Writer::file(const std::string& name, std::string_view bytes, std::int64_t mtime_seconds) {
  RETURN_IF_ERROR(impl_->start(name, AE_IFREG, 0644, bytes.size(), mtime_seconds));
  return impl_->output.data(bytes);
}

Status Writer::file(const std::string& name, std::uint64_t size, const Source& source,
                    std::int64_t mtime_seconds) {
  RETURN_IF_ERROR(impl_->start(name, AE_IFREG, 0644, size, mtime_seconds));
  std::vector<char> buffer(256 << 10);
  while (size > 0) {
    std::size_t wanted = std::min<std::uint64_t>(size, buffer.size());
    ASSIGN_OR_RETURN(auto count, source(buffer.data(), wanted));
    if (count == 0) return fail(Code::kDataLoss, "\"{}\" is {} bytes short", name, size);
    RETURN_IF_ERROR(impl_->output.data({buffer.data(), count}));
    size -= count;
  }
  return {};
}

Status Writer::finish() { return impl_->output.finish(); }

}  // namespace holdfast::archive
