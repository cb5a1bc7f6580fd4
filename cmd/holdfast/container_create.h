#pragma once

#include <string>

#include "cli.h"
#include "client/run/container_options.h"

namespace holdfast::cli {

// Creates a container as run and create do: checks the options, pulls a missing image (or as --pull
// says), writes --cidfile. Returns the id; warnings go to standard error.
Result<std::string> create_container(Cli& cli, const client::ContainerOptions& options,
                                     const Arguments& arguments);

// The message of a failure of run or create, as Docker words it: "holdfast: …" and a hint.
std::string with_hint(std::string_view verb, const Error& error);

}  // namespace holdfast::cli
