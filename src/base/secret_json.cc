#include "base/secret_json.h"

#include <openssl/crypto.h>

#include <boost/json.hpp>
#include <new>

#include "base/json_parse.h"

namespace holdfast {
namespace {

class WipingMemory final : public boost::json::memory_resource {
  void* do_allocate(std::size_t size, std::size_t alignment) override {
    return ::operator new(size, std::align_val_t(alignment));
  }
  void do_deallocate(void* memory, std::size_t size, std::size_t alignment) override {
    ::OPENSSL_cleanse(memory, size);
    ::operator delete(memory, std::align_val_t(alignment));
  }
  bool do_is_equal(const boost::json::memory_resource& other) const noexcept override {
    return dynamic_cast<const WipingMemory*>(&other) != nullptr;
  }
};

}  // namespace

Result<json::Object> parse_secret_object(std::string_view text) {
  return json::parse_object_in(boost::json::make_shared_resource<WipingMemory>(), text);
}

}  // namespace holdfast
