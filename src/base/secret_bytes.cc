#include "base/secret_bytes.h"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/error.h"

namespace holdfast {

SecretBytes::SecretBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  mapped_ = (size + page - 1) / page * page;
  void* memory =
      ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);  // out of memory ends the process everywhere
  data_ = static_cast<char*>(memory);
  ::madvise(memory, mapped_, MADV_DONTDUMP);
  ::mlock(memory, mapped_);  // may be refused, by a limit: then it may be swapped
}

SecretBytes SecretBytes::copy_of(std::string_view bytes) {
  SecretBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    discard();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_ = std::exchange(other.mapped_, 0);
  }
  return *this;
}

void SecretBytes::shrink(std::size_t size) {
  CHECK(size <= size_);
  if (size < size_) ::OPENSSL_cleanse(data_ + size, size_ - size);
  size_ = size;
}

void SecretBytes::discard() {
  if (!data_) return;
  ::OPENSSL_cleanse(data_, mapped_);
  ::munmap(data_, mapped_);
  data_ = nullptr;
  size_ = mapped_ = 0;
}

void wipe(std::string& text) {
  // Growing to the capacity moves nothing, and makes all of it ours to write.
  text.resize(text.capacity());
  ::OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

void wipe_spare(std::string& text) {
  std::size_t size = text.size();
  text.resize(text.capacity());
  ::OPENSSL_cleanse(text.data() + size, text.size() - size);
  text.resize(size);
}

void append_wiping(std::string& text, std::string_view bytes) {
  if (text.size() + bytes.size() > text.capacity()) {
    std::string larger;
    larger.reserve(2 * (text.size() + bytes.size()));
    larger.append(text);
    wipe(text);
    text = std::move(larger);
  }
  text += bytes;
}

}  // namespace holdfast
