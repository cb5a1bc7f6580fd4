#include "engine/secrets/sealing.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <memory>

#include "base/sha256.h"

namespace holdfast {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::string_view kDigits = "0123456789abcdef";

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(char* text) { return reinterpret_cast<unsigned char*>(text); }
int length_of(std::string_view text) { return static_cast<int>(text.size()); }

void fill_random(char* target, std::size_t size) {
  std::size_t filled = 0;
  while (filled < size) {
    ssize_t count = ::getrandom(target + filled, size - filled, 0);
    CHECK(count > 0);
    filled += static_cast<std::size_t>(count);
  }
}

int value_of(char digit) {
  auto value = kDigits.find(digit >= 'A' && digit <= 'F' ? static_cast<char>(digit + 32) : digit);
  return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

// A context that has the key, the nonce and what is authenticated beside the text.
template <typename Init, typename Update>
Result<ContextPtr> begin(Init init, Update update, std::string_view key, std::string_view nonce,
                         std::string_view beside) {
  ContextPtr context(EVP_CIPHER_CTX_new());
  int length = 0;
  if (!context ||
      init(context.get(), EVP_aes_256_gcm(), nullptr, bytes_of(key), bytes_of(nonce)) != 1 ||
      update(context.get(), nullptr, &length, bytes_of(beside), length_of(beside)) != 1) {
    return fail(Code::kInternal, "AES-256-GCM is not to be had from OpenSSL");
  }
  return context;
}

}  // namespace

SealingKey SealingKey::generate() {
  SealingKey key;
  key.key_ = SecretBytes(kKeySize);
  fill_random(key.key_.data(), kKeySize);
  return key;
}

Result<SealingKey> SealingKey::parse(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  SealingKey key;
  key.key_ = SecretBytes(kKeySize);
  bool good = text.size() == 2 * kKeySize;
  for (std::size_t i = 0; i < kKeySize && good; ++i) {
    int high = value_of(text[2 * i]);
    int low = value_of(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    key.key_.data()[i] = static_cast<char>(high << 4 | low);
  }
  if (!good) return fail(Code::kInvalidArgument, "not a key of 64 hexadecimal digits");
  return key;
}

SecretBytes SealingKey::text() const {
  SecretBytes text(2 * kKeySize + 1);
  for (std::size_t i = 0; i < kKeySize; ++i) {
    auto byte = static_cast<unsigned char>(key_.view()[i]);
    text.data()[2 * i] = kDigits[byte >> 4];
    text.data()[2 * i + 1] = kDigits[byte & 15];
  }
  text.data()[2 * kKeySize] = '\n';
  return text;
}

std::string SealingKey::id() const {
  Sha256 hash;
  hash.update("holdfast secrets key\n");
  hash.update(key_.view());
  return hash.finish().substr(0, 16);
}

Result<Sealed> SealingKey::seal(std::string_view plain, std::string_view context) const {
  Sealed sealed{id(), std::string(kNonceSize, '\0'), std::string(plain.size(), '\0'),
                std::string(kTagSize, '\0')};
  fill_random(sealed.nonce.data(), kNonceSize);
  ASSIGN_OR_RETURN(auto cipher, begin(EVP_EncryptInit_ex, EVP_EncryptUpdate, key_.view(),
                                      sealed.nonce, context));
  int length = 0;
  if (EVP_EncryptUpdate(cipher.get(), bytes_of(sealed.ciphertext.data()), &length, bytes_of(plain),
                        length_of(plain)) != 1 ||
      EVP_EncryptFinal_ex(cipher.get(), nullptr, &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTagSize),
                          sealed.tag.data()) != 1) {
    return fail(Code::kInternal, "AES-256-GCM failed");
  }
  return sealed;
}

Result<SecretBytes> SealingKey::open(const Sealed& sealed, std::string_view context) const {
  if (sealed.nonce.size() != kNonceSize || sealed.tag.size() != kTagSize)
    return fail(Code::kDataLoss, "its nonce or tag has the wrong length");
  ASSIGN_OR_RETURN(auto cipher, begin(EVP_DecryptInit_ex, EVP_DecryptUpdate, key_.view(),
                                      sealed.nonce, context));
  SecretBytes plain(sealed.ciphertext.size());
  std::string tag = sealed.tag;  // OpenSSL takes it by a pointer to what is not constant
  int length = 0;
  if (EVP_DecryptUpdate(cipher.get(), bytes_of(plain.data()), &length, bytes_of(sealed.ciphertext),
                        length_of(sealed.ciphertext)) != 1 ||
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTagSize),
                          tag.data()) != 1 ||
      EVP_DecryptFinal_ex(cipher.get(), nullptr, &length) != 1) {
    return fail(Code::kDataLoss, "it does not have the form it was sealed in");
  }
  return plain;
}

}  // namespace holdfast
