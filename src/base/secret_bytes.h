#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast {

// Bytes that nobody else is to see: overwritten before their memory is given back, left out of core
// files, and kept out of swap as far as the limit on locked memory allows. Movable, not copyable;
// not thread-safe.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t size);  // zeros
  static SecretBytes copy_of(std::string_view bytes);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  ~SecretBytes() { discard(); }

  char* data() { return data_; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {data_, size_}; }
  // Cuts the end off; what is cut is overwritten.
  void shrink(std::size_t size);

 private:
  void discard();

  char* data_ = nullptr;  // whole pages of its own
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
};

// Overwrites the string, what it has allocated beyond its end included, and empties it.
void wipe(std::string& text);
// What lies beyond its end alone.
void wipe_spare(std::string& text);
// Appends, and leaves nothing behind where the string has to move.
void append_wiping(std::string& text, std::string_view bytes);

}  // namespace holdfast
