#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast {

enum class RuntimeStep { kCreate, kStart, kExec };

// The words a Docker client expects when an OCI runtime refused with `output` (crun's plain lines
// or runc's log lines). `command` is the container's or session's args[0].
Error describe_runtime_failure(RuntimeStep step, std::string_view output,
                               const std::string& command);

}  // namespace holdfast
