#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "client/run/container_options.h"

namespace holdfast::client {

// The body of POST /containers/create for the options and arguments of run or create.
// kInvalidArgument in Docker's words for what doesn't go together. Reads the files that options
// name (--env-file, --label-file, --security-opt seccomp=FILE).
Result<json::Object> make_container_config(const ContainerOptions& options,
                                           const std::string& image,
                                           const std::vector<std::string>& command);

}  // namespace holdfast::client
