#include "client/tar/tar_reader.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace holdfast::client {
namespace {

constexpr std::uint64_t kMaxText = 1 << 20;

tl::unexpected<Error> broken(std::string_view what) {
  return fail(Code::kInvalidArgument, "archive/tar: invalid tar header ({})", what);
}

std::string text_field(std::string_view block, std::size_t at, std::size_t width) {
  auto field = block.substr(at, width);
  return std::string(field.substr(0, field.find('\0')));
}

// Octal, or GNU's base-256 where the first bit is set.
Result<std::uint64_t> number_field(std::string_view block, std::size_t at, std::size_t width) {
  auto field = block.substr(at, width);
  if (static_cast<unsigned char>(field[0]) & 0x80) {
    std::uint64_t value = static_cast<unsigned char>(field[0]) & 0x7F;
    for (char c : field.substr(1)) {
      if (value >> 55) return broken("number too large");
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  std::uint64_t value = 0;
  for (char c : field) {
    if (c == ' ' || c == '\0') continue;
    if (c < '0' || c > '7') return broken("bad number");
    value = value << 3 | static_cast<unsigned>(c - '0');
  }
  return value;
}

bool checksum_matches(std::string_view block) {
  auto wanted = number_field(block, 148, 8);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i)
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  return wanted && *wanted == sum;
}

std::uint64_t padding_of(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

Result<TarEntry> parse_header(std::string_view block) {
  TarEntry entry;
  entry.name = text_field(block, 0, 100);
  entry.type = block[156] == '\0' || block[156] == '7' ? '0' : block[156];
  entry.link = text_field(block, 157, 100);
  ASSIGN_OR_RETURN(auto mode, number_field(block, 100, 8));
  entry.mode = static_cast<unsigned>(mode & 07777);
  ASSIGN_OR_RETURN(entry.uid, number_field(block, 108, 8));
  ASSIGN_OR_RETURN(entry.gid, number_field(block, 116, 8));
  ASSIGN_OR_RETURN(entry.size, number_field(block, 124, 12));
  ASSIGN_OR_RETURN(auto mtime, number_field(block, 136, 12));
  entry.mtime = static_cast<std::int64_t>(mtime & INT64_MAX);
  bool ustar = block.substr(257, 6) == std::string_view("ustar\0", 6);
  if (ustar) {
    if (auto prefix = text_field(block, 345, 155); !prefix.empty())
      entry.name = prefix + "/" + entry.name;
  }
  return entry;
}

Status apply_pax(const std::map<std::string, std::string>& values, TarEntry& entry) {
  auto find = [&](const char* key) -> const std::string* {
    auto found = values.find(key);
    return found == values.end() ? nullptr : &found->second;
  };
  if (const auto* path = find("path")) entry.name = *path;
  if (const auto* link = find("linkpath")) entry.link = *link;
  if (const auto* size = find("size")) {
    auto [end, error] = std::from_chars(size->data(), size->data() + size->size(), entry.size);
    if (error != std::errc() || end != size->data() + size->size()) return broken("bad size");
  }
  if (const auto* mtime = find("mtime")) {
    const char* last = mtime->data() + mtime->size();
    auto [end, error] = std::from_chars(mtime->data(), last, entry.mtime);
    if (error != std::errc()) return broken("bad mtime");
    if (end != last && *end == '.') {
      std::string digits(end + 1, last);
      digits.resize(9, '0');
      std::from_chars(digits.data(), digits.data() + 9, entry.mtime_nanos);
    }
  }
  return {};
}

}  // namespace

Status TarReader::read_exactly(char* buffer, std::size_t size) {
  while (size > 0) {
    ASSIGN_OR_RETURN(auto got, source_(buffer, size));
    if (got == 0) return fail(Code::kUnavailable, "unexpected EOF");
    buffer += got;
    size -= got;
  }
  return {};
}

Status TarReader::skip() {
  std::array<char, 16384> buffer{};
  std::uint64_t left = remaining_ + padding_;
  while (left > 0) {
    auto part = std::min<std::uint64_t>(left, buffer.size());
    RETURN_IF_ERROR(read_exactly(buffer.data(), part));
    left -= part;
  }
  remaining_ = padding_ = 0;
  return {};
}

Result<std::string> TarReader::read_text(std::uint64_t size) {
  if (size > kMaxText) return broken("name too long");
  std::string text(size, '\0');
  RETURN_IF_ERROR(read_exactly(text.data(), size));
  remaining_ = 0;
  padding_ = padding_of(size);
  RETURN_IF_ERROR(skip());
  return text;
}

Status TarReader::read_pax(std::uint64_t size, std::map<std::string, std::string>& values) {
  ASSIGN_OR_RETURN(auto text, read_text(size));
  std::string_view rest = text;
  while (!rest.empty()) {
    std::size_t length = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
    auto digits = static_cast<std::size_t>(end - rest.data());
    if (error != std::errc() || length > rest.size() || length < digits + 3 || rest[digits] != ' ')
      return broken("bad pax record");
    auto record = rest.substr(digits + 1, length - digits - 2);
    auto equals = record.find('=');
    if (equals == std::string_view::npos) return broken("bad pax record");
    values[std::string(record.substr(0, equals))] = record.substr(equals + 1);
    rest.remove_prefix(length);
  }
  return {};
}

Result<std::optional<TarEntry>> TarReader::next() {
  RETURN_IF_ERROR(skip());
  std::map<std::string, std::string> pax;
  std::string long_name, long_link;
  while (true) {
    std::string block(kTarBlock, '\0');
    // An archive may end without its final blocks.
    ASSIGN_OR_RETURN(auto got, source_(block.data(), block.size()));
    if (got == 0) return std::nullopt;
    RETURN_IF_ERROR(read_exactly(block.data() + got, block.size() - got));
    if (std::all_of(block.begin(), block.end(), [](char c) { return c == '\0'; }))
      return std::nullopt;
    if (!checksum_matches(block)) return broken("bad checksum");
    ASSIGN_OR_RETURN(auto entry, parse_header(block));
    if (entry.type == 'x') {
      RETURN_IF_ERROR(read_pax(entry.size, pax));
      continue;
    }
    if (entry.type == 'g') {
      ASSIGN_OR_RETURN(auto ignored, read_text(entry.size));
      continue;
    }
    if (entry.type == 'L' || entry.type == 'K') {
      ASSIGN_OR_RETURN(auto text, read_text(entry.size));
      while (text.ends_with('\0')) text.pop_back();
      (entry.type == 'L' ? long_name : long_link) = text;
      continue;
    }
    if (!long_name.empty()) entry.name = long_name;
    if (!long_link.empty()) entry.link = long_link;
    RETURN_IF_ERROR(apply_pax(pax, entry));
    if (entry.type != TarEntry::kFile) entry.size = 0;
    remaining_ = entry.size;
    padding_ = padding_of(entry.size);
    return entry;
  }
}

Result<std::size_t> TarReader::read(char* buffer, std::size_t size) {
  if (remaining_ == 0) return std::size_t{0};
  ASSIGN_OR_RETURN(auto got, source_(buffer, std::min<std::uint64_t>(size, remaining_)));
  if (got == 0) return fail(Code::kUnavailable, "unexpected EOF");
  remaining_ -= got;
  return got;
}

}  // namespace holdfast::client
