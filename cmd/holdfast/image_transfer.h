#pragma once

#include <functional>
#include <string>

#include "cli.h"
#include "client/image_reference.h"

// What the verbs that move images share.
namespace holdfast::cli {

// The X-Registry-Auth header for an image's registry.
Result<client::Headers> registry_headers(Cli& cli, const client::ImageReference& image);

enum class ProgressTo { kStdout, kStderr, kNowhere };

// Shows a progress stream until it ends. An error in it is the Status.
Status show_progress(Cli& cli, client::Response response, ProgressTo where,
                     const std::function<void(const json::Object&)>& each = {});

// Pulls one image (or, without a tag, all of the repository's).
Status pull_image(Cli& cli, const client::ImageReference& image, const std::string& platform,
                  ProgressTo where);

// Copies a response's body to a file (through a temporary one, so that a broken transfer leaves
// nothing), or to standard output when `path` is empty. Refuses to write to a terminal.
Status save_body(Cli& cli, client::Response response, const std::string& path);

// Reads a file, or standard input when `path` is empty.
Result<client::ByteSource> open_source(const std::string& path);

}  // namespace holdfast::cli
