#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/error.h"
#include "client/http_client.h"
#include "client/tar/tar_entry.h"

namespace holdfast::client {

// Reads an archive (ustar, pax, GNU long names) member by member. Archives come from containers and
// are not trusted: sizes are bounded, numbers checked. One owner; not thread-safe.
class TarReader {
 public:
  explicit TarReader(ByteSource source) : source_(std::move(source)) {}

  // The next member, skipping what is left of the one before; nullopt at the end.
  Result<std::optional<TarEntry>> next();
  // The member's contents; 0 at their end.
  Result<std::size_t> read(char* buffer, std::size_t size);

 private:
  Status read_exactly(char* buffer, std::size_t size);
  Status skip();
  Result<std::string> read_text(std::uint64_t size);
  Status read_pax(std::uint64_t size, std::map<std::string, std::string>& values);

  ByteSource source_;
  std::uint64_t remaining_ = 0;
  std::uint64_t padding_ = 0;
};

}  // namespace holdfast::client
