#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/secret_bytes.h"

namespace holdfast {

// Bytes encrypted and authenticated with AES-256-GCM (NIST SP 800-38D).
struct Sealed {
  std::string key_id;  // SealingKey::id() of the key it takes
  std::string nonce;   // 12 bytes, random, of this sealing alone
  std::string ciphertext;
  std::string tag;  // 16 bytes
};

// The key that secrets are sealed with: 256 random bits. Movable; safe to use from several threads.
class SealingKey {
 public:
  static SealingKey generate();
  // The key as a file holds it: 64 hexadecimal digits and a newline, which may be missing.
  // kInvalidArgument for anything else; the error does not repeat it.
  static Result<SealingKey> parse(std::string_view text);
  SecretBytes text() const;

  // 16 hexadecimal digits that tell keys apart and say nothing about them.
  std::string id() const;

  // `context` is authenticated with the bytes and has to be the same when they are opened.
  Result<Sealed> seal(std::string_view plain, std::string_view context) const;
  // kDataLoss when anything of it was changed, or the context or the key is another.
  Result<SecretBytes> open(const Sealed& sealed, std::string_view context) const;

 private:
  SealingKey() = default;

  SecretBytes key_;
};

}  // namespace holdfast
