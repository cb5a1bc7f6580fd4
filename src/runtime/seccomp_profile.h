#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace holdfast {

// The OCI LinuxSeccomp object (config-linux.md, "Seccomp") for a profile in the format that Docker
// and containers-common share: rules that include or exclude by capability, architecture and kernel
// are kept or left out for a container with `capabilities` ("CAP_…") on `architecture` (Go's name:
// "amd64", "arm64"). kInvalidArgument when the profile is malformed.
Result<json::Object> translate_seccomp(std::string_view profile,
                                       const std::vector<std::string>& capabilities,
                                       const std::string& architecture,
                                       const std::string& kernel_release);

// This machine's, as translate_seccomp() takes them.
std::string go_architecture();
std::string kernel_release();

}  // namespace holdfast
