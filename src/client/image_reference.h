#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::client {

// NAME[:TAG][@DIGEST] as a user writes it, taken apart.
struct ImageReference {
  std::string name;  // familiar: "busybox", "localhost:5000/x"
  std::string tag;
  std::string digest;

  bool has_tag_or_digest() const { return !tag.empty() || !digest.empty(); }
  // What the images/create route takes as `tag`: the digest if there is one, else the tag.
  std::string tag_or_digest() const { return digest.empty() ? tag : digest; }
  // "busybox:latest"
  std::string familiar() const;
  // "docker.io/library/busybox:latest"
  std::string canonical() const;
  // The registry's host, "docker.io" for Docker Hub.
  std::string registry() const;
};

// kInvalidArgument in Docker's words: "invalid reference format".
Result<ImageReference> parse_image_reference(std::string_view text);

// The key of a registry in config.json: "https://index.docker.io/v1/" for Docker Hub.
std::string auth_key(std::string_view registry);

}  // namespace holdfast::client
