#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

// Makes bbolt files for tests, page by page; what it makes is as wrong as it is told to be.
class BoltWriter {
 public:
  struct Element {
    std::string key;
    std::string value;
    std::uint32_t flags = 0;  // 1: a bucket
  };

  static constexpr std::size_t kPageSize = 4096;

  template <typename Number>
  static void put(std::string& page, std::size_t at, Number number) {
    std::memcpy(page.data() + at, &number, sizeof number);
  }

  static std::string header(std::uint64_t id, std::uint16_t flags, std::size_t count,
                            std::size_t size) {
    std::string page(size, '\0');
    put<std::uint64_t>(page, 0, id);
    put<std::uint16_t>(page, 8, flags);
    put<std::uint16_t>(page, 10, static_cast<std::uint16_t>(count));
    put<std::uint32_t>(page, 12, static_cast<std::uint32_t>(size / kPageSize - 1));
    return page;
  }

  // `inline_page`: cut to what it holds, as it lies in its bucket's value.
  static std::string leaf(std::uint64_t id, const std::vector<Element>& elements,
                          bool inline_page = false) {
    std::size_t end = 16 + elements.size() * 16;
    for (const auto& element : elements) end += element.key.size() + element.value.size();
    std::string page =
        header(id, 2, elements.size(), (end + kPageSize - 1) / kPageSize * kPageSize);
    std::size_t data = 16 + elements.size() * 16;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const auto& element = elements[i];
      std::size_t at = 16 + i * 16;
      put<std::uint32_t>(page, at, element.flags);
      put<std::uint32_t>(page, at + 4, static_cast<std::uint32_t>(data - at));
      put<std::uint32_t>(page, at + 8, static_cast<std::uint32_t>(element.key.size()));
      put<std::uint32_t>(page, at + 12, static_cast<std::uint32_t>(element.value.size()));
      page.replace(data, element.key.size(), element.key);
      data += element.key.size();
      page.replace(data, element.value.size(), element.value);
      data += element.value.size();
    }
    if (inline_page) page.resize(end);
    return page;
  }

  static std::string branch(std::uint64_t id,
                            const std::vector<std::pair<std::string, std::uint64_t>>& children) {
    std::string page = header(id, 1, children.size(), kPageSize);
    std::size_t data = 16 + children.size() * 16;
    for (std::size_t i = 0; i < children.size(); ++i) {
      std::size_t at = 16 + i * 16;
      put<std::uint32_t>(page, at, static_cast<std::uint32_t>(data - at));
      put<std::uint32_t>(page, at + 4, static_cast<std::uint32_t>(children[i].first.size()));
      put<std::uint64_t>(page, at + 8, children[i].second);
      page.replace(data, children[i].first.size(), children[i].first);
      data += children[i].first.size();
    }
    return page;
  }

  static std::uint64_t checksum(const std::string& meta) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (std::size_t i = 16; i < 16 + 56; ++i)
      hash = (hash ^ static_cast<unsigned char>(meta[i])) * 0x100000001b3;
    return hash;
  }

  static std::string meta(std::uint64_t id, std::uint64_t root, std::uint64_t transaction) {
    std::string page = header(id, 4, 0, kPageSize);
    put<std::uint32_t>(page, 16, 0xED0CDAED);
    put<std::uint32_t>(page, 20, 2);
    put<std::uint32_t>(page, 24, kPageSize);
    put<std::uint64_t>(page, 32, root);
    put<std::uint64_t>(page, 48, 2);    // free list
    put<std::uint64_t>(page, 56, 100);  // end
    put<std::uint64_t>(page, 64, transaction);
    put<std::uint64_t>(page, 72, checksum(page));
    return page;
  }

  static std::string bucket(std::uint64_t root, const std::string& inline_page = {}) {
    std::string value(16, '\0');
    put<std::uint64_t>(value, 0, root);
    return value + inline_page;
  }

  // A file whose root is page 3, followed by `pages` from there on.
  static std::string file(const std::vector<std::string>& pages) {
    std::string bytes = meta(0, 3, 4) + meta(1, 3, 5) + header(2, 16, 0, kPageSize);
    for (const auto& page : pages) bytes += page;
    return bytes;
  }
};

}  // namespace holdfast
