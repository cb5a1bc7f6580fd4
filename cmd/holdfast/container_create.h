#pragma once

#include <string>

#include "cli.h"
#include "client/run/container_options.h"

namespace holdfast::cli {

// Checks the options of run or create, before the daemon is asked for anything, and makes the
// request of them.
Result<json::Object> check_container(const client::ContainerOptions& options,
                                     const Arguments& arguments);

// Creates the container: pulls a missing image (or as --pull says), writes --cidfile. Returns the
// id; warnings go to standard error.
Result<std::string> create_container(Cli& cli, const client::ContainerOptions& options,
                                     const std::string& image, json::Object config);

// The message of a failure of run or create, as Docker words it: "holdfast: …" and a hint.
std::string with_hint(std::string_view verb, const Error& error);

}  // namespace holdfast::cli
