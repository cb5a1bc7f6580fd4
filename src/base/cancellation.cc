#include "base/cancellation.h"

#include <sys/eventfd.h>

#include <cstdint>

namespace holdfast {

Cancellation::Cancellation() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Cancellation::cancel() {
  cancelled_.store(true, std::memory_order_release);
  std::uint64_t one = 1;
  [[maybe_unused]] auto ignored = ::write(fd_.get(), &one, sizeof one);
}

Status Cancellation::check() const {
  if (cancelled()) return fail(Code::kCancelled, "context canceled");
  return {};
}

}  // namespace holdfast
