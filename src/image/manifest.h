#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "image/images.h"
#include "storage/layer/layers.h"

namespace holdfast::image {

namespace media {
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
}  // namespace media

// OCI image spec, descriptor.md.
struct Descriptor {
  std::string media_type;
  std::string digest;
  std::uint64_t size = 0;
};

json::Object to_json(const Descriptor& descriptor);
Result<Descriptor> parse_descriptor(const json::Object& object);

// One image in a registry or layout: Docker's schema 2 or OCI's manifest.md.
struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
};

// A list of images by platform: Docker's manifest list or OCI's image-index.md.
struct Index {
  struct Item {
    Descriptor descriptor;
    Platform platform;
    std::map<std::string, std::string> annotations;
  };
  std::vector<Item> items;
};

// Which of the two a document is; others (schema 1, artifacts without a config) are refused.
Result<bool> is_index(const json::Object& document);
Result<Manifest> parse_manifest(const json::Object& document);
Result<Index> parse_index(const json::Object& document);

// An OCI manifest for what has none.
std::string make_manifest(const Manifest& manifest);

// The best item for a platform, as containerd matches them: an arm variant runs those below it too.
// kNotFound in Docker's words.
Result<Index::Item> choose(const Index& index, const Platform& platform);
std::string to_string(const Platform& platform);

// What an image config says of layers (config.md): rootfs.diff_ids. kInvalidArgument when it has
// none or they aren't digests.
Result<std::vector<DiffId>> diff_ids(const json::Object& config);

}  // namespace holdfast::image
