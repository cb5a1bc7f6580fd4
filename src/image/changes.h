#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace holdfast::image {

// Applies Dockerfile instructions (CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD STOPSIGNAL
// USER VOLUME WORKDIR) to an image's container config, as `docker import --change` and `docker
// commit --change` do. kInvalidArgument in Docker's words for any other, or a malformed one.
Status apply_changes(json::Object& config, const std::vector<std::string>& changes);

}  // namespace holdfast::image
