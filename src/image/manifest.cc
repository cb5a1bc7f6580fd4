#include "image/manifest.h"

#include <sys/utsname.h>

#include <algorithm>

#include "image/reference.h"

namespace holdfast::image {
namespace {

constexpr std::size_t kMostLayers = 500;  // what overlayfs takes

std::string normalised_architecture(const std::string& name) {
  if (name == "x86_64" || name == "x86-64") return "amd64";
  if (name == "aarch64") return "arm64";
  if (name == "armhf" || name == "armv7l" || name == "armel") return "arm";
  if (name == "i386" || name == "i686") return "386";
  return name;
}

std::string default_variant(const std::string& architecture) {
  if (architecture == "arm64") return "v8";
  if (architecture == "arm") return "v7";
  return {};
}

// How well an image of platform `offered` runs on `wanted`; 0: not at all.
int fitness(const Platform& offered, const Platform& wanted) {
  if (offered.os != wanted.os || offered.architecture != wanted.architecture) return 0;
  std::string mine =
      offered.variant.empty() ? default_variant(offered.architecture) : offered.variant;
  std::string want = wanted.variant.empty() ? default_variant(wanted.architecture) : wanted.variant;
  if (mine == want) return 100;
  bool older_arm = wanted.architecture == "arm" && mine < want;
  return older_arm && mine.size() == 2 ? 1 + (mine[1] - '0') : 0;
}

}  // namespace

Platform host_platform() {
  struct utsname names = {};
  ::uname(&names);
  std::string machine = names.machine;
  Platform platform{"linux", normalised_architecture(machine), {}};
  if (machine == "armv6l") platform = {"linux", "arm", "v6"};
  return platform;
}

Result<Platform> parse_platform(std::string_view text) {
  std::vector<std::string> parts;
  for (std::string_view rest = text;;) {
    auto slash = rest.find('/');
    parts.emplace_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  for (auto& part : parts) {
    bool valid = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    });
    if (!valid || parts.size() > 3) {
      return fail(Code::kInvalidArgument,
                  "\"{}\": unknown operating system or architecture: invalid "
                  "argument",
                  text);
    }
  }
  Platform host = host_platform();
  if (parts.size() == 1) {
    if (parts[0] == "linux") return Platform{"linux", host.architecture, {}};
    return Platform{host.os, normalised_architecture(parts[0]), {}};
  }
  return Platform{parts[0], normalised_architecture(parts[1]), parts.size() == 3 ? parts[2] : ""};
}

std::string to_string(const Platform& platform) {
  std::string text = platform.os + "/" + platform.architecture;
  if (!platform.variant.empty()) text += "/" + platform.variant;
  return text;
}

json::Object to_json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type},
          {"digest", descriptor.digest},
          {"size", descriptor.size}};
}

Result<Descriptor> parse_descriptor(const json::Object& object) {
  Descriptor descriptor;
  ASSIGN_OR_RETURN(descriptor.media_type, json::get_string(object, "mediaType"));
  ASSIGN_OR_RETURN(descriptor.digest, json::get_string(object, "digest"));
  ASSIGN_OR_RETURN(auto size, json::get_int(object, "size"));
  if (!valid_digest(descriptor.digest))
    return fail(Code::kInvalidArgument, "invalid digest \"{}\" in manifest", descriptor.digest);
  if (size < 0)
    return fail(Code::kInvalidArgument, "invalid size of {} in manifest", descriptor.digest);
  descriptor.size = static_cast<std::uint64_t>(size);
  return descriptor;
}

Result<bool> is_index(const json::Object& document) {
  std::string type = json::string_or(document, "mediaType");
  if (json::int_or(document, "schemaVersion") == 1) {
    return fail(Code::kInvalidArgument,
                "Docker Image Format v1 and Docker Image manifest version 2, "
                "schema 1 support is not available: suggest the author of the image to upgrade it");
  }
  if (type == media::kDockerList || type == media::kOciIndex) return true;
  if (type == media::kDockerManifest || type == media::kOciManifest) return false;
  if (type.empty()) return document.contains("manifests");
  return fail(Code::kInvalidArgument,
              "unsupported manifest media type and no default available: "
              "{}",
              type);
}

Result<Manifest> parse_manifest(const json::Object& document) {
  Manifest manifest;
  manifest.media_type = json::string_or(document, "mediaType", media::kOciManifest);
  ASSIGN_OR_RETURN(auto config, json::get_object(document, "config"));
  ASSIGN_OR_RETURN(manifest.config, parse_descriptor(config));
  ASSIGN_OR_RETURN(auto layers, json::get_array(document, "layers"));
  if (layers.size() > kMostLayers)
    return fail(Code::kInvalidArgument, "max depth exceeded: {} layers", layers.size());
  for (const auto& layer : layers) {
    if (!layer.is_object()) return fail(Code::kInvalidArgument, "invalid layer in manifest");
    ASSIGN_OR_RETURN(auto descriptor, parse_descriptor(layer.get_object()));
    manifest.layers.push_back(std::move(descriptor));
  }
  bool image = manifest.config.media_type == media::kDockerConfig ||
               manifest.config.media_type == media::kOciConfig ||
               manifest.config.media_type.empty();
  if (!image) {
    return fail(Code::kInvalidArgument, "unsupported media type {}", manifest.config.media_type);
  }
  return manifest;
}

Result<Index> parse_index(const json::Object& document) {
  Index index;
  ASSIGN_OR_RETURN(auto items, json::get_array(document, "manifests"));
  for (const auto& value : items) {
    if (!value.is_object()) return fail(Code::kInvalidArgument, "invalid manifest list");
    const auto& object = value.get_object();
    Index::Item item;
    ASSIGN_OR_RETURN(item.descriptor, parse_descriptor(object));
    const auto& platform = json::object_or_empty(object, "platform");
    item.platform = {json::string_or(platform, "os"),
                     normalised_architecture(json::string_or(platform, "architecture")),
                     json::string_or(platform, "variant")};
    item.annotations = json::string_map_or_empty(object, "annotations");
    index.items.push_back(std::move(item));
  }
  return index;
}

std::string make_manifest(const Manifest& manifest) {
  json::Array layers;
  for (const auto& layer : manifest.layers) layers.push_back(to_json(layer));
  return json::serialize(json::Object{{"schemaVersion", 2},
                                      {"mediaType", manifest.media_type},
                                      {"config", to_json(manifest.config)},
                                      {"layers", std::move(layers)}});
}

Result<Index::Item> choose(const Index& index, const Platform& platform) {
  const Index::Item* best = nullptr;
  int best_fitness = 0;
  for (const auto& item : index.items) {
    int fits = fitness(item.platform, platform);
    if (fits > best_fitness) {
      best = &item;
      best_fitness = fits;
    }
  }
  if (!best) {
    return fail(Code::kNotFound, "no matching manifest for {} in the manifest list entries",
                to_string(platform));
  }
  return *best;
}

Result<std::vector<DiffId>> diff_ids(const json::Object& config) {
  const auto& rootfs = json::object_or_empty(config, "rootfs");
  std::vector<DiffId> ids;
  for (const auto& text : json::strings_or_empty(rootfs, "diff_ids")) {
    if (!valid_digest(text))
      return fail(Code::kInvalidArgument, "invalid layer \"{}\" in image configuration", text);
    ids.emplace_back(text);
  }
  return ids;
}

}  // namespace holdfast::image
