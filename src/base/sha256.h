#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

// A running SHA-256 (FIPS 180-4). One owner; not thread-safe.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(std::string_view bytes);

  // The digest as 64 hexadecimal digits; ends this object's use.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace holdfast
